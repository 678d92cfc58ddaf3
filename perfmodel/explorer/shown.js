"use strict";
// What is shown of an answer: cards, tables, figures, warnings.

function usedArguments(combination) {
  const names = combination.calls.flatMap((i) => CALLS[i][1]);
  return new Set(combination.calls.length > 1 ? [...names, ...PACES[state.choice[0]][1]] : names);
}

let usual = null; // the answer with the device's own numbers, while some are turned

function show() {
  const numbers = numbersOf(state.choice, state.request, turnedNow());
  const found = answer(state.choice, numbers);
  const changes = deviceOf(state.choice).numbers.filter(isTurned);
  usual = found && changes.length ? answer(state.choice, numbersOf(state.choice, state.request, {})) : null;
  showControls(found ? usedArguments(found.combination) : new Set());
  $("scenario").textContent = scenario();
  $("changed").textContent = changes.length ? `What if: ${changes.map((n) =>
    `${n.name} ${textOf(n, valueOf(n))} instead of ${textOf(n, n.value)}`).join("; ")}. ` +
    "These are not the numbers of the data sheet." : "";
  $("reset").hidden = !changes.length;
  $("command").replaceChildren(...command().split(" ").flatMap((word) => [element("span", {}, [word]), " "]).slice(0, -1));
  $("answers").hidden = $("strip").hidden = !found;
  if (!found) {
    $("alert").textContent = `This cannot be: ${DATA.refused[state.choice.join()]}`;
    return;
  }
  $("alert").textContent = warnings(found);
  $("about").hidden = !found.combination.notes.length;
  $("notes").replaceChildren(...found.combination.notes.map((note) => element("li", {}, [note])));
  showCards(found.values);
  showTimes(found.values);
  showOperators(found.rows);
  draw(found, numbers);
  $("strip").textContent = [...TIMES.filter(([key]) => `${key}.expected` in found.values).map(([key, name]) =>
    `${name} ${seconds(found.values[`${key}.expected`])}`), `${plain(found.values.tokens_per_s)} tok/s`,
  found.values.fits ? "fits" : "does not fit"].join(" · ");
  say(found.values);
}

const optionsNow = () => DATA.axes.map((axis, i) => [axis, axis.values[state.choice[i]]]);

function scenario() {
  const r = state.request;
  const parts = optionsNow().filter(([axis, value]) => axis.name !== "device" && value.said).map(([, value]) => value.said);
  return [`${plain(r.batch)} request${r.batch > 1 ? "s" : ""} in flight, ${plain(r.input_tokens)} tokens in, ` +
    `${plain(r.output_tokens)} out`, `${DATA.model} on ${deviceOf(state.choice).name}`, ...parts, ...DATA.said].join(", ");
}

function warnings({values}) {
  const found = [];
  if (!values.fits) {
    const missing = Math.max(-values["memory.free_bytes"], 0);
    found.push(`Does not fit: ${quantity(missing, "bytes")} too much per device.`);
  } else if (values.waiting >= 1) {
    found.push(`Memory holds ${plain(values.running)} of ${plain(state.request.batch)} requests at once; ` +
      "the others wait in a queue.");
  }
  return found.join(" ");
}

const TIMES = [["ttft_s", "TTFT", "time to first token"], ["tpot_s", "TPOT", "time per output token"],
  ["e2e_s", "E2E", "end to end"]];

function card(name, value, details, key, bad = false) {
  return element("div", {class: bad ? "card bad" : "card", "data-key": key}, [element("span", {}, [name]),
    element("b", {}, [value]), ...details.filter(Boolean).map((text) => element("span", {}, [text]))]);
}

function before(key, text) { return usual ? `data sheet: ${text(usual.values[key])}` : ""; }

function showCards(v) {
  const cards = TIMES.filter(([key]) => `${key}.expected` in v).map(([key, name, meaning]) => card(`${name}, ${meaning}`,
    seconds(v[`${key}.expected`]), [`${seconds(v[`${key}.p10`])} to ${seconds(v[`${key}.p90`])}, bound ` +
    seconds(v[`${key}.bound`]), before(`${key}.expected`, seconds)], key));
  const unit = DATA.phase === "prefill" ? "input tokens/s" : "tokens/s";
  cards.push(card(unit, plain(v.tokens_per_s), [`${plain(v.tokens_per_s_per_device)} per device`,
    `${digits(v.requests_per_s)} requests/s`, before("tokens_per_s", plain)], "tokens_per_s"));
  const used = v["memory.capacity_bytes"] - v["memory.free_bytes"];
  cards.push(card("memory of a device", v.fits ? "fits" : "does not fit", [`${quantity(used, "bytes")} of ` +
    quantity(v["memory.capacity_bytes"], "bytes"), `at most ${plain(v["memory.largest_batch"])} requests`], "fits", !v.fits));
  cards.push(card("per million tokens", dollars(v.usd_per_million_tokens), [
    known(v.usd_per_million_tokens) ? `in ${dollars(v.usd_per_million_input_tokens)}, out ` +
    dollars(v.usd_per_million_output_tokens) : "no price is known: state one", before("usd_per_million_tokens", dollars)],
  "usd_per_million_tokens"));
  if ("joules_per_token" in v) {
    cards.push(card("energy per token", quantity(v.joules_per_token, "joules"), [
      `${quantity(v["energy.joules_per_token_p10"], "joules")} to ${quantity(v["energy.joules_per_token_p90"], "joules")}`,
      `${plain(v.power_w_per_device)} W per device`, before("joules_per_token", (x) => quantity(x, "joules"))],
    "joules_per_token"));
  }
  $("cards").replaceChildren(...cards);
}

function table(headers, rows, name, texts = 1) {
  const cell = (text, i, tag, more = {}) => element(tag, i < texts ? {class: "left", ...more} : more, [text]);
  const head = element("tr", {}, headers.map((text, i) => cell(text, i, "th", {scope: "col"})));
  const body = rows.map((row) => element("tr", {}, row.map((text, i) =>
    cell(text, i, i ? "td" : "th", i ? {} : {scope: "row"}))));
  return element("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": name}, [element("table", {},
    [element("thead", {}, [head]), element("tbody", {}, body)])]);
}

function showTimes(v) {
  const rows = TIMES.filter(([key]) => `${key}.expected` in v).map(([key, name]) =>
    [name, ...["bound", "p10", "expected", "p90"].map((band) => seconds(v[`${key}.${band}`]))]);
  $("times").replaceChildren(table(["time", "bound", "p10", "expected", "p90"], rows, "Times"));
  const pairs = [];
  for (const phase of ["prefill", "decode"]) {
    if (!(`${phase}.mfu` in v)) continue;
    const parts = ["compute", "memory", "link"].map((p) => [p, v[`${phase}.${p}_s`]]).sort((a, b) => b[1] - a[1]);
    pairs.push([`${phase}: limited by`, parts[0][0]], [`${phase}: MFU, MBU`,
      `${percent(v[`${phase}.mfu`])}, ${percent(v[`${phase}.mbu`])}`]);
  }
  pairs.push(["requests that run", plain(v.running)], ["longest context at these", `${plain(v["memory.longest_context_tokens"])} tokens`]);
  for (const part of ["weights", "kv", "activation", "overhead"]) {
    pairs.push([{weights: "weights", kv: "KV cache", activation: "activations", overhead: "runtime"}[part],
      quantity(v[`memory.${part}_bytes`], "bytes")]);
  }
  $("work").replaceChildren(table(["what", "value"], pairs, "Work and memory"));
}

function showOperators(rows) {
  const cells = rows.map((r) => [r.name, r.phase, r.dtype, plain(r.repeat), seconds(r.expected_s), seconds(r.bound_s),
    percent(r.share), r.bottleneck, quantity(r.flops, "flops"), quantity(r.bytes, "bytes")]);
  $("operators").replaceChildren(table(["operator", "phase", "dtype", "times", "expected", "bound", "share", "limit",
    "FLOP", "memory traffic"], cells, "Operators", 3));
}

function spoken(v) {
  return TIMES.filter(([key]) => `${key}.expected` in v).map(([key, name]) => `${name} ${seconds(v[`${key}.expected`])}`)
    .join(", ") + `, ${plain(v.tokens_per_s)} tokens per second, memory ${v.fits ? "fits" : "does not fit"}`;
}

let speaking = 0;
function say(values) {
  clearTimeout(speaking);
  speaking = setTimeout(() => { $("status").textContent = spoken(values); }, 800);
}

function draw(found, numbers) {
  const {rows, values} = found;
  drawRoofline($("roofline"), rows, bandwidthOf(state.choice, numbers), peaksOf(state.choice, numbers, rows),
    `Roofline: ${rows.length} operators by arithmetic intensity and FLOP/s; their numbers are in the table of operators`);
  for (const phase of ["prefill", "decode"]) {
    const mine = rows.filter((row) => row.phase === phase);
    $(`bars-${phase}`).hidden = !mine.length;
    if (mine.length) drawBars($(`bars-${phase}-plot`), mine, `Time of each operator of the ${phase} step; in the table below`);
  }
  drawMemory($("memory-plot"), memoryOver(state.choice, numbers), values["memory.capacity_bytes"],
    state.request.input_tokens + state.request.output_tokens, "Memory of a device over the length of the requests");
  drawSweep(numbers, values);
}

const bands = (v, key) => ({expected: v[`${key}.expected`], p10: v[`${key}.p10`], p90: v[`${key}.p90`]});

function drawSweep(numbers, values) {
  const points = [];
  for (let batch = 1; batch <= Math.max(1024, 2 * state.request.batch); batch *= 2) {
    points.push({batch, values: answer(state.choice, {...numbers, batch}).values});
  }
  const now = {batch: state.request.batch, values}, key = "tpot_s.expected" in values ? "tpot_s" : "ttft_s";
  $("over-time").textContent = key === "tpot_s" ? "Time per output token" : "Time to first token";
  drawOverBatch($("over-time-plot"), points, now, (p) => bands(p.values, key), (v) => brief(v, "seconds"), "#0072B2",
    "Time over the requests in flight");
  drawOverBatch($("over-rate-plot"), points, now, (p) => ({expected: p.values.tokens_per_s_per_device}), plain, "#009E73",
    "Tokens a second and device over the requests in flight");
}
