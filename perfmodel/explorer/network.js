"use strict";
// What a page of a network asks and shows.

const REQUESTS = [["batch", `${DATA.samples} at once`, 4096]];
const FLAGS = {batch: "--batch"};
const TIMES = [["latency_s", "latency", `time of a batch of ${DATA.samples}`]];
const KINDS = new Set(DATA.operators.flat().map((label) => label.part));
const LEGEND = ["convolution", "depthwise", "dense", "attention", "lookup", "pooling", "element-wise"].filter((k) => KINDS.has(k));
const MEMORY_PARTS = ["weights", "runtime", "activations"];
const WORDS = {
  requests: "Batch",
  marks: "Each mark is one kernel, larger the more of the time it takes. A mark over the slope finds part of its data in a cache.",
  bars: "Of a whole batch: by kind of layer, and the slowest kernels; the line across a bar is the bound.",
  memory: "Memory over the batch",
  memoryNote: `What a device needs for so many ${DATA.samples} at once.`,
  over: `Over the ${DATA.samples} at once`,
  overAxis: `${DATA.samples} at once`,
};

const sharedOver = (rows) => [rows];

const several = DATA.stages.length > 1;

function asked() { return [`${plain(state.request.batch)} ${state.request.batch > 1 ? DATA.samples : DATA.sample} at once`]; }

function warnings({values}) { return values.fits ? "" : tooMuch(values); }

function headline(v) { return [`${plain(v.samples_per_s)} ${DATA.samples}/s`, `${plain(v.samples_per_s)} ${DATA.samples} per second`]; }

function rateCards(v) {
  const cards = [card(`${DATA.samples}/s`, plain(v.samples_per_s), [`${plain(v.samples_per_s_per_device)} per device`,
    `bound ${plain(v.samples_per_s_bound)}`, before("samples_per_s", plain)], "samples_per_s")];
  cards.push(memoryCard(v, `at most ${plain(v["memory.largest_batch"])} ${DATA.samples}`));
  cards.push(card(`per million ${DATA.samples}`, dollars(v.usd_per_million_samples), [
    known(v.usd_per_million_samples) ? "" : NO_PRICE, before("usd_per_million_samples", dollars)], "usd_per_million_samples"));
  if ("joules_per_sample" in v) cards.push(energyCard(v, `energy per ${DATA.sample}`, "joules_per_sample"));
  return cards;
}

function bottleneckOf(rows) {
  const spent = {};
  for (const row of rows) spent[row.bottleneck] = (spent[row.bottleneck] || 0) + row.expected_s;
  return Object.keys(spent).reduce((a, b) => (spent[b] > spent[a] ? b : a));
}

function workRows(v, rows) {
  const pairs = [["limited by", bottleneckOf(rows)], ["MFU, MBU", `${percent(v.mfu)}, ${percent(v.mbu)}`],
    [`memory traffic of one ${DATA.sample}`, quantity(v.bytes_per_sample, "bytes")],
    ["FLOP per byte", plain(v.arithmetic_intensity_flops_per_byte)]];
  if (several) {
    DATA.stages.forEach((name, i) => pairs.push([name, `${seconds(v[`stages.${i}.latency_s`])}, bound ${
      seconds(v[`stages.${i}.bound_s`])}`]));
  }
  return [...pairs, ...memoryRows(v, {weights: "weights", activation: "activations", overhead: "runtime"})];
}

function kindsOf(rows) {
  const found = new Map();
  for (const row of rows) {
    const kind = found.get(row.part) || {name: row.part, part: row.part, expected_s: 0, bound_s: 0, share: 0, of: {}};
    for (const key of ["expected_s", "bound_s", "share"]) kind[key] += row[key];
    kind.of[row.bottleneck] = (kind.of[row.bottleneck] || 0) + row.expected_s;
    found.set(row.part, kind);
  }
  return [...found.values()].map((kind) => ({...kind,
    bottleneck: Object.keys(kind.of).reduce((a, b) => (kind.of[b] > kind.of[a] ? b : a))}));
}

function barsOf(rows) {
  return [{id: "kinds", title: "By kind of layer", rows: kindsOf(rows), label: "Time of each kind of layer"},
    {id: "kernels", title: "The slowest kernels", rows, label: "Time of the slowest kernels; in the table below"}];
}

function memoryFigure(numbers) {
  const combination = DATA.combinations[state.choice.join()], points = [];
  for (let batch = 1; batch <= Math.max(1024, 2 * state.request.batch); batch *= 2 ** 0.25) {
    const [weights, live, runtime] = call(CALLS[combination.memory], {...numbers, batch});
    points.push({at: batch, parts: [weights, runtime, live]});
  }
  return {points, now: state.request.batch, axis: `${DATA.samples} at once`, label: "Memory of a device over the batch"};
}

function overFigures() {
  return [{title: "Time of the batch", key: "latency_s", label: `Time over the ${DATA.samples} at once`},
    {title: `${DATA.samples} a second and device`, key: "samples_per_s_per_device",
      label: `${DATA.samples} a second and device over the ${DATA.samples} at once`}];
}
