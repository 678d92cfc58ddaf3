"""``perfmodel model``: the models of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.kinds import is_network
from perfmodel.cli.output import note, print_columns, print_json, short
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.workloads.families.registry import Adapter
    from perfmodel.workloads.spec import LanguageModel

app = new_app("List, show, import and check models.")
LANGUAGE, NETWORK = "language", "network"
Kind = Annotated[str, typer.Option("--kind", metavar="KIND", help="language, network or all.")]
_ANY_ENGINE = frozenset({"bfloat16", "float16", "fp8", "fp4", "int8"})


@app.command(
    "list",
    cls=PlainCommand,
    epilog=examples("model list", "model list --kind network", "model list --kind network --counts --json"),
)
def list_(
    kind: Kind = "all",
    counts: Annotated[
        bool, typer.Option("--counts", help="Count networks rather than show what is published: builds each of them.")
    ] = False,
    json: o.Json = False,
) -> None:
    """List the models of the library and of the folders in PERFMODEL_SPECS: language models, then other networks.

    Of networks it shows what is published: their parameters and, in GMAC, multiply-accumulates.
    """
    kinds = _kinds(kind)
    models = _language_models() if LANGUAGE in kinds else []
    networks: list[dict[str, Any]] = []
    if NETWORK in kinds:
        from perfmodel.cli.network_model import network_rows

        networks = network_rows(counts)
    if json:
        found = {LANGUAGE: {"models": models}, NETWORK: {"networks": networks}}
        print_json({"schema": "perfmodel/models/1", **{k: v for name in kinds for k, v in found[name].items()}})
        return
    if models:
        heading = ("model", "family", "layers", "parameters", "active/token", "KV kB/token", "context")
        print_columns([heading, *(_cells(row) for row in models)], numbers=range(2, 7))
    if networks:
        from perfmodel.cli.network_model import print_networks

        print("\n" if models else "", end="")
        print_networks(networks)
        if not counts:
            note("counts of networks are the published ones; --counts builds and counts them all")


def _kinds(kind: str) -> tuple[str, ...]:
    known = {"all": (LANGUAGE, NETWORK), LANGUAGE: (LANGUAGE,), NETWORK: (NETWORK,)}
    if kind not in known:
        raise InputError(f"--kind must be language, network or all, not '{kind}'")
    return known[kind]


def _language_models() -> list[dict[str, Any]]:
    from perfmodel.workloads.library import load_model, model_files

    return [_summary(load_model(path)) for path in model_files().values()]


def _summary(model: LanguageModel) -> dict[str, Any]:
    from perfmodel.workloads.parameters import active_parameters_per_token, kv_bytes_per_token, parameters

    return {
        "name": model.name,
        "family": model.family,
        "layers": model.layer_count,
        "parameters": parameters(model),
        "active_parameters_per_token": active_parameters_per_token(model),
        "kv_bytes_per_token": kv_bytes_per_token(model),
        "maximum_tokens": model.maximum_tokens,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["name"], row["family"], str(row["layers"]), _billions(row["parameters"]),
        _billions(row["active_parameters_per_token"]), f"{row['kv_bytes_per_token'] / 1e3:,.1f}",
        f"{row['maximum_tokens']:,}" if row["maximum_tokens"] else "",
    ]  # fmt: skip


def _billions(count: int) -> str:
    return f"{count / 1e9:,.2f} B"


@app.command(
    "show",
    cls=PlainCommand,
    epilog=examples(
        "model show llama-3.1-8b",
        "model show llama-3.1-8b --json --batch 1 --input 2048 --logits all",
        "model show resnet50 --image 288",
    ),
)
def show(
    context: typer.Context,
    model: o.Model,
    batch: Annotated[
        str, typer.Option("--batch", metavar="N", help="Sequences of one forward pass, to count its flops.")
    ] = "",
    input_tokens: Annotated[str, typer.Option("--input", metavar="N", help="Tokens of each of them.")] = "",
    logits: Annotated[
        str, typer.Option("--logits", metavar="WHICH", help="last or all: the positions that get logits.")
    ] = "last",
    no_causal: Annotated[bool, typer.Option("--no-causal", help="Count attention as the full square.")] = False,
    image: o.Image = "",
    json: o.Json = False,
) -> None:
    """Show how big a model is, module by module, and what a forward pass of it computes.

    Of a network: its counts beside the published ones, its blocks, and the fields of its family that --set can change.
    """
    if logits not in ("last", "all"):
        raise InputError(f"--logits must be last or all, not '{logits}'")
    if is_network(context, model):
        from perfmodel.cli.network_model import show_network

        show_network(model, image, batch, json=json)
        return
    from perfmodel.workloads.library import load_model

    found = load_model(model)
    sizes = _sizes(found)
    if batch or input_tokens:
        sizes |= _flops(found, batch or "1", input_tokens or "1", logits, causal=not no_causal)
    if json:
        print_json(_object(found, sizes))
    else:
        _print(found, sizes)


def _sizes(model: LanguageModel) -> dict[str, Any]:
    from perfmodel.workloads import parameters as p

    return {
        "parameters": p.parameters(model),
        "parameters_text": p.parameters_text(model),
        "active_parameters_per_token": p.active_parameters_per_token(model),
        "kv_bytes_per_token": p.kv_bytes_per_token(model),
        "state_bytes_per_sequence": p.state_bytes_per_sequence(model),
        "weights_bytes": p.weights_bytes(model),
        **({"mtp_parameters": model.mtp_parameters} if model.mtp_parameters else {}),
    }


def _flops(model: LanguageModel, batch: str, tokens: str, logits: str, *, causal: bool) -> dict[str, float]:
    """Return the flops of a forward pass over ``batch`` new sequences: all flops, and those of matrix products."""
    from perfmodel.arguments import whole
    from perfmodel.plan.layout import step_operators
    from perfmodel.plan.parallelism import Plan
    from perfmodel.plan.precision import choose_precisions
    from perfmodel.plan.step_shape import StepShape

    count, length = whole("--batch", batch), whole("--input", tokens)
    shape = StepShape(prefills=count, new_tokens=length, prefill_context=length, logits=logits, causal=causal)
    every = matrix = 0.0
    for step in step_operators(model, Plan(), choose_precisions(model, _ANY_ENGINE), shape):
        counts = step.operator.counts()
        every += step.repeat * float(counts.total_flops())
        matrix += step.repeat * float(counts.filter_flops(engine="tensor").total_flops())
    return {"flops": every, "matmul_flops": matrix}


def _object(model: LanguageModel, sizes: dict[str, Any]) -> dict[str, Any]:
    from perfmodel.workloads.parameters import parameter_rows

    rows = [
        {
            "module": r.module,
            "group": r.group,
            "format": r.format,
            "layers": r.layers,
            "parameters": r.total,
            "bytes": r.bytes,
        }
        for r in parameter_rows(model)
    ]
    return {
        "schema": "perfmodel/model/1",
        "name": model.name,
        "family": model.family,
        **sizes,
        "hidden": model.hidden,
        "vocabulary": model.vocabulary,
        "layers": model.layer_count,
        "maximum_tokens": model.maximum_tokens,
        "tied_embeddings": model.tied_embeddings,
        "published_parameters": model.published_parameters,
        "source": model.source,
        "verified": model.verified,
        "modules": rows,
        "towers": _towers(model),
        "spec_hash": model.spec_hash,
        "path": model.path,
    }


def _towers(model: LanguageModel) -> list[dict[str, Any]]:
    """Return the parts beside the language model, with what they compute for an image of the usual size."""
    from perfmodel.plan.towers import tower_flops

    rows: list[dict[str, Any]] = []
    for tower in model.towers:
        every, matrix = tower_flops(tower)
        rows.append({
            "name": tower.name,
            "parameters": tower.parameters,
            "tokens_per_image": tower.tokens,
            "output_tokens_per_image": tower.output_tokens,
            "flops_per_image": every,
            "matmul_flops_per_image": matrix,
        })  # fmt: skip
    return rows


def _print(model: LanguageModel, sizes: dict[str, Any]) -> None:
    from perfmodel.units import format_quantity
    from perfmodel.workloads.parameters import parameter_rows

    print(f"{model.name} ({model.family}): {model.layer_count} layers of width {model.hidden:,}\n")
    for name, value in sizes.items():
        size = "bytes" in name
        shown = (
            format_quantity(value, "bytes") if size and value else short(value) if "flops" in name else f"{value:,.0f}"
        )
        print(f"  {name:<28} {shown}")
    print()
    heading = ("module", "format", "x", "parameters", "size")
    rows = [
        (r.module, r.format, str(r.layers), f"{r.total:,}", format_quantity(r.bytes, "bytes"))
        for r in parameter_rows(model)
    ]
    print_columns([heading, *rows], numbers=(2, 3, 4), indent="  ")
    if model.towers:
        print()
        heading = ("tower", "parameters", "tokens/image", "given on", "flops/image")
        towers = [
            (t["name"], f"{t['parameters']:,}", f"{t['tokens_per_image']:,}", f"{t['output_tokens_per_image']:,}",
             short(t["flops_per_image"]))
            for t in _towers(model)
        ]  # fmt: skip
        print_columns([heading, *towers], numbers=(1, 2, 3, 4), indent="  ")
    print(f"\nsource: {model.source or 'not stated'}{'' if model.verified else ' (not verified)'}")


@app.command(
    "families",
    cls=PlainCommand,
    epilog=examples("model families", "model families --json", "model families --kind network"),
)
def families(kind: Kind = "all", json: o.Json = False) -> None:
    """List the model types whose config.json is understood, with the class that each is counted as.

    Then the families of networks, with the fields that their variants state.
    """
    kinds = _kinds(kind)
    from perfmodel.workloads.families import ADAPTERS

    def architectures(adapter: Adapter) -> list[str]:
        return [adapter.architecture] if isinstance(adapter.architecture, str) else list(adapter.architecture)

    adapters = [adapter for _, adapter in sorted(ADAPTERS.items())] if LANGUAGE in kinds else []
    networks: list[dict[str, Any]] = []
    if NETWORK in kinds:
        from perfmodel.cli.network_model import family_rows

        networks = family_rows()
    if json:
        rows = [
            {"model_type": a.model_type, "architectures": architectures(a), "read_in": a.transformers} for a in adapters
        ]
        print_json({"schema": "perfmodel/families/1", "families": rows, "networks": networks})
        return
    if adapters:
        cells = [(a.model_type, ", ".join(architectures(a)) or "our own: layers", a.transformers) for a in adapters]
        print_columns([("model_type", "class", "transformers"), *cells])
    if networks:
        print("\n" if adapters else "", end="")
        print_columns([("network family", "fields"), *((r["family"], ", ".join(r["fields"])) for r in networks)])


@app.command(
    "import",
    cls=PlainCommand,
    epilog=examples(
        "model import ./config.json --out my-model.yaml",
        "model import ./config.json --as llama --out my-model.yaml",
        "model import detector.onnx --size height=640 --size width=640",
    ),
)
def import_(
    config: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A Hugging Face config.json or its folder; a graph: .onnx, .json."),
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The model's name.  [default: the folder's]")
    ] = "",
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where to  [default: standard output]")] = "",
    family: Annotated[
        str,
        typer.Option(
            "--as", metavar="FAMILY", help="Read it as this family, whatever it says, and write out its layers to edit."
        ),
    ] = "",
    size: Annotated[
        list[str] | None,
        typer.Option("--size", metavar="NAME=N", help="A graph's dimension that only has a name, such as height=640."),
    ] = None,
    json: o.Json = False,
) -> None:
    """Turn a model's config.json into a workload file of our own, or say what a graph of operators is understood as.

    Put the file into a folder that PERFMODEL_SPECS names, and the model has a name. A config of a family that is not
    known can be started with --as and the nearest family: what is not understood stands in comments, uncounted.
    A graph (ONNX, or records of a PyTorch graph) is estimated from its own file; import shows what of it is counted.
    """
    from perfmodel.workloads.networks.what_if import is_graph

    if is_graph(config):
        from perfmodel.cli.network_model import import_graph

        if name or out or family:
            raise InputError("--name, --out and --as are of configs: a graph is estimated from its own file")
        import_graph(config, size, json=json)
        return
    if size or json:
        raise InputError("--size and --json are of graphs (.onnx, or .json records), not of configs")
    from perfmodel.workloads.library import import_model

    text = import_model(config, name or None, family or None)
    if not out or out == "-":
        print(text, end="")
        return
    from perfmodel.files import write_text

    write_text(out, text)
    note(f"wrote {out}")


@app.command(
    "check",
    cls=PlainCommand,
    epilog=examples("model check", "model check ./my-model.yaml", "model check --kind network", "model check resnet50"),
)
def check(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...", autocompletion=o.complete_model, help="Which; all of them if none is named."
        ),
    ] = None,
    kind: Kind = "all",
    json: o.Json = False,
) -> None:
    """Look for what is well formed and yet likely wrong; exit code 5 if there is an error.

    Counts are compared with the published ones; networks without any are only checked by name.
    """
    from perfmodel.cli.check import check_all

    check_all("model", _named(models, _kinds(kind)), _findings, json)


def _findings(name: str) -> list[dict[str, str]]:
    from perfmodel.cli.check import findings
    from perfmodel.workloads.library import load_model, model_files

    files = model_files()
    return findings(name, lambda name: load_model(files[name]) if name in files else _load_any(name), _check_any)


def _named(models: list[str] | None, kinds: tuple[str, ...]) -> list[str]:
    """Return what is to be checked: what is named, or all of the kinds; of networks those of published counts."""
    if models:
        return models
    from perfmodel.workloads.library import list_models

    found = [*list_models()] if LANGUAGE in kinds else []
    if NETWORK in kinds:
        from perfmodel.workloads.networks.summary import all_variants

        variants = list(all_variants())
        published = [variant.name for variant in variants if variant.published]
        if len(published) < len(variants):
            left_out = len(variants) - len(published)
            note(f"{left_out:,} networks without published counts are left out; name one to check it")
        found += published
    return found


def _load_any(name: str) -> Any:
    """Return a language model, or the variant of a network with what it builds."""
    from perfmodel.workloads import kinds, library

    if kinds.kind_of(name) == NETWORK:
        from perfmodel.cli.network_model import checked_network

        return checked_network(name)
    return library.load_model(name)


def _check_any(found: Any) -> Any:
    from perfmodel.workloads.library import check_model
    from perfmodel.workloads.spec import LanguageModel

    if isinstance(found, LanguageModel):
        return check_model(found)
    from perfmodel.workloads.networks.summary import check_network

    return check_network(*found)
