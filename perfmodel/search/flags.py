"""How a plan is said to a serving framework: the command that launches one replica or worker of it."""

from __future__ import annotations

from perfmodel.plan.parallelism import Plan

FRAMEWORKS = ("vllm", "sglang", "trtllm")


def launch_flags(
    framework: str, model: str, plan: Plan, *, requests: int, tokens: int, cache: str, role: str = ""
) -> str:
    """Return the command that serves ``model`` under a plan.

    ``requests`` are at most in flight on the replica, ``tokens`` the longest request, ``cache`` the KV cache's
    encoding, ``role`` prefill or decode where they are apart. Sources: the frameworks' own command-line references
    (vLLM 0.11 ``vllm serve``, SGLang 0.5 ``launch_server``, TensorRT-LLM 1.1 ``trtllm-serve``), from memory.
    Omits: addresses of several nodes, and the router in front of separate pools.
    """
    return {"vllm": _vllm, "sglang": _sglang, "trtllm": _trtllm}[framework](model, plan, requests, tokens, cache, role)


def _vllm(model: str, plan: Plan, requests: int, tokens: int, cache: str, role: str) -> str:
    words = [f"vllm serve {model}", f"--tensor-parallel-size {int(plan.tp)}"]
    if plan.pp > 1:
        words.append(f"--pipeline-parallel-size {plan.pp}")
    if plan.cp > 1:
        words.append(f"--decode-context-parallel-size {plan.cp}")
    if plan.attention_dp > 1:
        words.append(f"--data-parallel-size {int(plan.attention_dp)}")
    if plan.ep > 1:
        words.append("--enable-expert-parallel")
    each = -(-requests // int(plan.attention_dp))
    words += [f"--max-num-seqs {each}", f"--max-model-len {tokens}"]
    words += ["--kv-cache-dtype fp8"] if cache == "fp8" else []
    if role:
        kind = {"prefill": "kv_producer", "decode": "kv_consumer"}[role]
        words.append(f"""--kv-transfer-config '{{"kv_connector":"NixlConnector","kv_role":"{kind}"}}'""")
    return " ".join(words)


def _sglang(model: str, plan: Plan, requests: int, tokens: int, cache: str, role: str) -> str:
    # its tp counts all devices of a stage, of which attention takes tp/dp for each group
    words = [f"python -m sglang.launch_server --model-path {model}", f"--tp-size {int(plan.devices_per_stage)}"]
    if plan.pp > 1:
        words.append(f"--pp-size {plan.pp}")
    if plan.attention_dp > 1:
        words.append(f"--dp-size {int(plan.attention_dp)} --enable-dp-attention")
    if plan.ep > 1:
        words.append(f"--ep-size {int(plan.ep)}")
    words += [f"--max-running-requests {requests}", f"--context-length {tokens}"]
    words += ["--kv-cache-dtype fp8_e4m3"] if cache == "fp8" else []
    words += [f"--disaggregation-mode {role}"] if role else []
    return " ".join(words)


def _trtllm(model: str, plan: Plan, requests: int, tokens: int, cache: str, role: str) -> str:
    words = [f"trtllm-serve {model}", f"--tp_size {int(plan.tp * plan.attention_dp)}"]
    if plan.pp > 1:
        words.append(f"--pp_size {plan.pp}")
    if plan.cp > 1:
        words.append(f"--cp_size {plan.cp}")
    if plan.ep > 1:
        words.append(f"--ep_size {int(plan.ep)}")
    words += [f"--max_batch_size {requests}", f"--max_seq_len {tokens}"]
    options = ["enable_attention_dp: true"] if plan.attention_dp > 1 else []
    options += ["kv_cache_config: {dtype: fp8}"] if cache == "fp8" else []
    if role:
        options.append("cache_transceiver_config: {backend: DEFAULT}")
    return " ".join(words) + _extra(options)


def _extra(options: list[str]) -> str:
    return f" --extra_llm_api_options options.yaml  # options.yaml: {{{', '.join(options)}}}" if options else ""
