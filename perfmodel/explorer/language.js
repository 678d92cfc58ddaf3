"use strict";
// What a page of a language model asks and shows.

const REQUESTS = [["batch", "requests in flight", 4096], ["input_tokens", "input tokens", DATA.longest],
  ["output_tokens", "output tokens", 32768]];
const FLAGS = {batch: "--batch", input_tokens: "--input", output_tokens: "--output"};
const PHASES = ["prefill", "decode"];
const TIMES = [["ttft_s", "TTFT", "time to first token"], ["tpot_s", "TPOT", "time per output token"],
  ["e2e_s", "E2E", "end to end"]];
const LEGEND = ["attention", "ffn", "head", "embedding", "other"];
const MEMORY_PARTS = ["weights", "runtime and activations", "KV cache"];
const WORDS = {
  requests: "Requests",
  marks: "Each mark is one operator, larger the more of its phase's time it takes (● prefill, ◆ decode). A mark over the " +
    "slope finds part of its data in a cache.",
  bars: "Of one step; the line across a bar is the operator's bound.",
  memory: "Memory over context",
  memoryNote: "What a device needs to hold all requests in flight at once, each of this length.",
  over: "Over the requests in flight",
  overAxis: "requests in flight",
};

const sharedOver = (rows) => PHASES.map((phase) => rows.filter((row) => row.phase === phase));

function asked() {
  const r = state.request;
  return [`${plain(r.batch)} request${r.batch > 1 ? "s" : ""} in flight, ${plain(r.input_tokens)} tokens in, ` +
    `${plain(r.output_tokens)} out`];
}

function warnings({values}) {
  const found = [];
  if (!values.fits) found.push(tooMuch(values));
  else if (values.waiting >= 1) {
    found.push(`Memory holds ${plain(values.running)} of ${plain(state.request.batch)} requests at once; ` +
      "the others wait in a queue.");
  }
  return found.join(" ");
}

function headline(v) { return [`${plain(v.tokens_per_s)} tok/s`, `${plain(v.tokens_per_s)} tokens per second`]; }

function rateCards(v) {
  const unit = DATA.phase === "prefill" ? "input tokens/s" : "tokens/s";
  const cards = [card(unit, plain(v.tokens_per_s), [`${plain(v.tokens_per_s_per_device)} per device`,
    `${digits(v.requests_per_s)} requests/s`, before("tokens_per_s", plain)], "tokens_per_s")];
  cards.push(memoryCard(v, `at most ${plain(v["memory.largest_batch"])} requests`));
  cards.push(card("per million tokens", dollars(v.usd_per_million_tokens), [
    known(v.usd_per_million_tokens) ? `in ${dollars(v.usd_per_million_input_tokens)}, out ` +
    dollars(v.usd_per_million_output_tokens) : NO_PRICE, before("usd_per_million_tokens", dollars)],
  "usd_per_million_tokens"));
  if ("joules_per_token" in v) cards.push(energyCard(v, "energy per token", "joules_per_token"));
  return cards;
}

function workRows(v) {
  const pairs = [];
  for (const phase of PHASES) {
    if (!(`${phase}.mfu` in v)) continue;
    const parts = ["compute", "memory", "link"].map((p) => [p, v[`${phase}.${p}_s`]]).sort((a, b) => b[1] - a[1]);
    pairs.push([`${phase}: limited by`, parts[0][0]], [`${phase}: MFU, MBU`,
      `${percent(v[`${phase}.mfu`])}, ${percent(v[`${phase}.mbu`])}`]);
  }
  pairs.push(["requests that run", plain(v.running)], ["longest context at these", `${plain(v["memory.longest_context_tokens"])} tokens`]);
  return [...pairs, ...memoryRows(v, {weights: "weights", kv: "KV cache", activation: "activations", overhead: "runtime"})];
}

function barsOf(rows) {
  return PHASES.map((phase) => [phase, rows.filter((row) => row.phase === phase)]).filter(([, mine]) => mine.length)
    .map(([phase, mine]) => ({id: phase, title: phase === "prefill" ? "Prefill step" : "Decode step", rows: mine,
      label: `Time of each operator of the ${phase} step; in the table below`}));
}

function memoryFigure(numbers) {
  const combination = DATA.combinations[state.choice.join()], points = [];
  for (let tokens = 256; tokens <= DATA.longest; tokens *= 2 ** 0.25) {
    const [weights, kv, live, runtime] = call(CALLS[combination.memory], {...numbers, tokens});
    points.push({at: tokens, parts: [weights, live + runtime, kv]});
  }
  return {points, now: state.request.input_tokens + state.request.output_tokens, axis: "tokens of each request, in and out",
    label: "Memory of a device over the length of the requests"};
}

function overFigures(values) {
  const key = "tpot_s.expected" in values ? "tpot_s" : "ttft_s";
  return [{title: key === "tpot_s" ? "Time per output token" : "Time to first token", key,
    label: "Time over the requests in flight"},
  {title: "Tokens a second and device", key: "tokens_per_s_per_device",
    label: "Tokens a second and device over the requests in flight"}];
}
