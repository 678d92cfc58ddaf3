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
  showTimes(found.values, found.rows);
  showOperators(found.rows);
  draw(found, numbers);
  $("strip").textContent = [...TIMES.filter(([key]) => `${key}.expected` in found.values).map(([key, name]) =>
    `${name} ${seconds(found.values[`${key}.expected`])}`), headline(found.values)[0],
  found.values.fits ? "fits" : "does not fit"].join(" · ");
  say(found.values);
}

const optionsNow = () => DATA.axes.map((axis, i) => [axis, axis.values[state.choice[i]]]);

function scenario() {
  const parts = optionsNow().filter(([axis, value]) => axis.name !== "device" && value.said).map(([, value]) => value.said);
  return [...asked(), `${DATA.model} on ${deviceOf(state.choice).name}`, ...parts, ...DATA.said].join(", ");
}

function tooMuch(values) {
  return `Does not fit: ${quantity(Math.max(-values["memory.free_bytes"], 0), "bytes")} too much per device.`;
}

function card(name, value, details, key, bad = false) {
  return element("div", {class: bad ? "card bad" : "card", "data-key": key}, [element("span", {}, [name]),
    element("b", {}, [value]), ...details.filter(Boolean).map((text) => element("span", {}, [text]))]);
}

function before(key, text) { return usual ? `data sheet: ${text(usual.values[key])}` : ""; }

const NO_PRICE = "no price is known: state one";

function memoryCard(v, most) {
  const used = v["memory.capacity_bytes"] - v["memory.free_bytes"];
  return card("memory of a device", v.fits ? "fits" : "does not fit", [`${quantity(used, "bytes")} of ` +
    quantity(v["memory.capacity_bytes"], "bytes"), most], "fits", !v.fits);
}

function energyCard(v, name, key) {
  return card(name, quantity(v[key], "joules"), [
    `${quantity(v[`energy.${key}_p10`], "joules")} to ${quantity(v[`energy.${key}_p90`], "joules")}`,
    `${plain(v.power_w_per_device)} W per device`, before(key, (x) => quantity(x, "joules"))], key);
}

function showCards(v) {
  const cards = TIMES.filter(([key]) => `${key}.expected` in v).map(([key, name, meaning]) => card(`${name}, ${meaning}`,
    seconds(v[`${key}.expected`]), [`${seconds(v[`${key}.p10`])} to ${seconds(v[`${key}.p90`])}, bound ` +
    seconds(v[`${key}.bound`]), before(`${key}.expected`, seconds)], key));
  $("cards").replaceChildren(...cards, ...rateCards(v));
}

const memoryRows = (v, names) => Object.entries(names).map(([part, name]) =>
  [name, quantity(v[`memory.${part}_bytes`], "bytes")]);

function table(headers, rows, name, texts = 1) {
  const cell = (text, i, tag, more = {}) => element(tag, i < texts ? {class: "left", ...more} : more, [text]);
  const head = element("tr", {}, headers.map((text, i) => cell(text, i, "th", {scope: "col"})));
  const body = rows.map((row) => element("tr", {}, row.map((text, i) =>
    cell(text, i, i ? "td" : "th", i ? {} : {scope: "row"}))));
  return element("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": name}, [element("table", {},
    [element("thead", {}, [head]), element("tbody", {}, body)])]);
}

function showTimes(v, operators) {
  const rows = TIMES.filter(([key]) => `${key}.expected` in v).map(([key, name]) =>
    [name, ...["bound", "p10", "expected", "p90"].map((band) => seconds(v[`${key}.${band}`]))]);
  $("times").replaceChildren(table(["time", "bound", "p10", "expected", "p90"], rows, "Times"));
  $("work").replaceChildren(table(["what", "value"], workRows(v, operators), "Work and memory"));
}

const MOST_ROWS = 150;

function showOperators(rows) {
  const slowest = [...rows].sort((a, b) => b.expected_s - a.expected_s).slice(0, MOST_ROWS);
  const shown = rows.length > MOST_ROWS ? slowest : rows;
  $("operators-summary").textContent = rows.length > MOST_ROWS ? `The ${MOST_ROWS} slowest of ${rows.length} operators` : "All operators";
  const cells = shown.map((r) => [r.name, r.phase, r.dtype, plain(r.repeat), seconds(r.expected_s), seconds(r.bound_s),
    percent(r.share), r.bottleneck, quantity(r.flops, "flops"), quantity(r.bytes, "bytes")]);
  $("operators").replaceChildren(table(["operator", DATA.kind === "network" ? "network" : "phase", "dtype", "times",
    "expected", "bound", "share", "limit", "FLOP", "memory traffic"], cells, "Operators", 3));
}

function spoken(v) {
  return TIMES.filter(([key]) => `${key}.expected` in v).map(([key, name]) => `${name} ${seconds(v[`${key}.expected`])}`)
    .join(", ") + `, ${headline(v)[1]}, memory ${v.fits ? "fits" : "does not fit"}`;
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
  const bars = barsOf(rows).map((each) => [each, element("figure", {id: `bars-${each.id}-plot`})]);
  $("bars").replaceChildren(...bars.map(([each, figure]) =>
    element("div", {id: `bars-${each.id}`}, [element("h3", {}, [each.title]), figure])));
  for (const [each, figure] of bars) drawBars(figure, each.rows, each.label);
  drawMemory($("memory-plot"), memoryFigure(numbers), values["memory.capacity_bytes"]);
  drawSweep(numbers, values);
}

const bands = (v, key) => ({expected: v[`${key}.expected`], p10: v[`${key}.p10`], p90: v[`${key}.p90`]});

function drawSweep(numbers, values) {
  const points = [];
  for (let batch = 1; batch <= Math.max(1024, 2 * state.request.batch); batch *= 2) {
    points.push({batch, values: answer(state.choice, {...numbers, batch}).values});
  }
  const now = {batch: state.request.batch, values}, [time, rate] = overFigures(values);
  $("over-time").textContent = time.title;
  $("over-rate").textContent = rate.title[0].toUpperCase() + rate.title.slice(1);
  drawOverBatch($("over-time-plot"), points, now, (p) => bands(p.values, time.key), (v) => brief(v, "seconds"), "#0072B2",
    time.label);
  drawOverBatch($("over-rate-plot"), points, now, (p) => ({expected: p.values[rate.key]}), plain, "#009E73", rate.label);
}
