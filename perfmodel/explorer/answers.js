"use strict";
// What is chosen, and the answer of the generated functions to it.

const DATA = JSON.parse(document.getElementById("data").textContent);
const FIELDS = ["expected_s", "compute_s", "memory_s", "link_s", "flops", "bytes", "link_bytes"];
const $ = (id) => document.getElementById(id);
const state = {choice: DATA.axes.map(() => 0), request: {...DATA.request}, turned: DATA.devices.map(() => ({}))};

const deviceOf = (choice) => DATA.devices[choice[0]];

// what the functions take: the requests, the device's numbers, those that were turned over them
function numbersOf(choice, request, turned) {
  const found = {...request};
  for (const number of deviceOf(choice).numbers) found[number.argument] = number.value ?? NaN;
  return Object.assign(found, turned);
}

function call([f, names, k], numbers) { return f(...names.map((name) => numbers[name]), k); }

// the answer of a combination: {values by name, operators}, or null where it cannot be
function answer(choice, numbers) {
  const combination = DATA.combinations[choice.join()];
  if (!combination) return null;
  const slow = combination.calls.length > 1 && call(PACES[choice[0]], numbers)[0] ? 1 : 0;
  const flat = call(CALLS[combination.calls[slow]], numbers), values = {};
  DATA.names[combination.names].forEach((name, i) => { values[name] = Number(flat[i]); });
  const labels = DATA.operators[combination.operators], start = DATA.names[combination.names].length;
  const rows = labels.map((label, j) => {
    const row = {...label};
    FIELDS.forEach((field, i) => { row[field] = flat[start + j * FIELDS.length + i]; });
    return judged(row, bandwidthOf(choice, numbers));
  });
  for (const mine of sharedOver(rows)) {
    const whole = mine.reduce((sum, row) => sum + row.expected_s, 0);
    mine.forEach((row) => { row.share = whole ? row.expected_s / whole : 0; });
  }
  return {values, rows, combination};
}

function judged(row, bandwidth) {
  row.bound_s = Math.max(row.compute_s, row.memory_s, row.link_s);
  const parts = {compute: row.compute_s, memory: Math.max(row.memory_s, row.bytes / bandwidth), link: row.link_s};
  row.bottleneck = Object.keys(parts).reduce((a, b) => (parts[b] > parts[a] ? b : a));
  return row;
}

function bandwidthOf(choice, numbers) {
  return numbers.memory_main_bandwidth ?? deviceOf(choice).bandwidth;
}

function peaksOf(choice, numbers, rows) {
  const found = {};
  for (const dtype of new Set(rows.filter((r) => r.flops > 0 && r.peak).map((r) => r.peak))) {
    const dense = dtype.replace("@2:4", "");
    found[dtype] = (numbers[`peaks_tensor_${dense}`] ?? deviceOf(choice).peaks[dense]) * (dense === dtype ? 1 : 2);
  }
  return found;
}
