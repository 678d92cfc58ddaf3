"use strict";
// Figures as SVG, drawn anew for the width that they have; what they show is in tables too.

const COLOURS = {attention: "#0072B2", ffn: "#E69F00", head: "#009E73", embedding: "#CC79A7", convolution: "#E69F00",
  dense: "#009E73", depthwise: "#CC79A7", lookup: "#D55E00", pooling: "#56B4E9"};
const OTHER = "#7f7f7f", MOST_MARKS = 300;
// weights below, what requests or samples need on top
const MEMORY_COLOURS = ["#0072B2", "#7f7f7f", "#E69F00"], MEMORY_KEYS = ["attention", "other", "ffn"];
const colourOf = (part) => COLOURS[part] || OTHER;

function svg(parent, name, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== "") element.textContent = text;
  if (parent) parent.appendChild(element);
  return element;
}

function canvas(place, height, label) {
  const width = Math.max(280, place.clientWidth || 640);
  place.replaceChildren();
  const root = svg(place, "svg", {class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label});
  return {root, width, height};
}

const logScale = (low, high, from, to) => (v) => from + (Math.log(v / low) / Math.log(high / low)) * (to - from);
const linear = (low, high, from, to) => (v) => from + ((v - low) / (high - low)) * (to - from);

// the ends of a scale in round numbers: powers of ten, with 2 and 5 where they are few
function roundTicks(low, high, most) {
  const tens = powersOf(10, low, high, 99);
  const all = tens.length > 2 ? tens : powersOf(10, low / 10, high, 99).flatMap((p) => [p, 2 * p, 5 * p]);
  const inside = all.filter((v) => v >= low && v <= high), every = Math.max(1, Math.ceil(inside.length / most));
  return inside.filter((_, i) => i % every === 0);
}

const brief = (value, dimension) => quantity(value, dimension).replace(/\.0+(?=\D)/, "").replace(/(\.\d*?)0+(?=\D)/, "$1");

function powersOf(base, low, high, most) {
  const all = [];
  for (let p = Math.ceil(Math.log(low) / Math.log(base) - 1e-9); base ** p <= high * (1 + 1e-9); p++) all.push(base ** p);
  const every = Math.max(1, Math.ceil(all.length / most));
  return all.filter((_, i) => i % every === 0);
}

function ticks(high, count) {
  const raw = high / count, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((f) => f * size).find((s) => s >= raw);
  return Array.from({length: Math.floor(high / step + 1e-9) + 1}, (_, i) => i * step);
}

function axes(c, box, x, xTicks, xText, y, yTicks, yText, title) {
  for (const v of xTicks) {
    svg(c.root, "line", {class: "grid", x1: x(v), x2: x(v), y1: box.top, y2: box.bottom});
    svg(c.root, "text", {x: x(v), y: box.bottom + 16, "text-anchor": "middle"}, xText(v));
  }
  for (const v of yTicks) {
    svg(c.root, "line", {class: "grid", x1: box.left, x2: box.right, y1: y(v), y2: y(v)});
    svg(c.root, "text", {x: box.left - 6, y: y(v) + 4, "text-anchor": "end"}, yText(v));
  }
  svg(c.root, "text", {x: (box.left + box.right) / 2, y: c.height - 4, "text-anchor": "middle"}, title);
}

const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function drawRoofline(place, rows, bandwidth, peaks, label) {
  const points = rows.filter((r) => r.flops > 0 && r.bytes > 0 && r.expected_s > 0)
    .map((r) => ({...r, at: r.flops / r.bytes, rate: r.flops / r.expected_s}));
  const c = canvas(place, 400, label), box = {left: 84, right: c.width - 10, top: 12, bottom: 352};
  if (!points.length) return;
  const tops = Object.values(peaks);
  const low = Math.min(...points.map((p) => p.at), ...tops.map((p) => p / bandwidth / 8)) / 2;
  const high = Math.max(...points.map((p) => p.at), ...tops.map((p) => (p / bandwidth) * 8)) * 2;
  const least = Math.min(...points.map((p) => p.rate)) / 3, most = Math.max(...points.map((p) => p.rate), ...tops) * 2.5;
  const x = logScale(low, high, box.left, box.right), y = logScale(least, most, box.bottom, box.top);
  axes(c, box, x, powersOf(10, low, high, 8), plain, y, powersOf(10, least, most, 7),
    (v) => brief(v, "flops_per_s"),
    "FLOP per byte of main memory");
  const top = Math.max(...tops, 0) || most, start = Math.max(low, least / bandwidth);
  svg(c.root, "path", {class: "roof", d: line([[x(start), y(start * bandwidth)], [x(top / bandwidth), y(top)]])});
  const stacked = Object.entries(peaks).sort((a, b) => b[1] - a[1]);
  let free = -99;
  for (const [dtype, peak] of stacked) {
    svg(c.root, "path", {class: "roof", d: line([[x(peak / bandwidth), y(peak)], [box.right, y(peak)]])});
    free = Math.max(y(peak) + 2, free + 14);
    svg(c.root, "text", {x: x(peak / bandwidth) - 8, y: free, "text-anchor": "end"},
      `${dtype} ${quantity(peak, "flops_per_s")}`);
  }
  const mid = start ** 0.35 * (top / bandwidth) ** 0.65;
  svg(c.root, "text", {x: x(mid) - 8, y: y(mid * bandwidth) - 6, "text-anchor": "end"},
    `memory ${quantity(bandwidth, "bytes_per_s")}`);
  for (const p of points.sort((a, b) => b.share - a.share).slice(0, MOST_MARKS)) {
    const size = 4 + 10 * Math.sqrt(p.share);
    const shape = p.phase === "decode"
      ? svg(c.root, "path", {d: `M${x(p.at)} ${y(p.rate) - size}l${size} ${size}l${-size} ${size}l${-size} ${-size}z`})
      : svg(c.root, "circle", {cx: x(p.at), cy: y(p.rate), r: size * 0.85});
    shape.setAttribute("class", "dot");
    shape.setAttribute("fill", colourOf(p.part));
    svg(shape, "title", {}, `${p.phase} ${p.name}: ${seconds(p.expected_s)} (bound ${seconds(p.bound_s)}), ` +
      `${plain(p.at)} FLOP/byte, ${quantity(p.rate, "flops_per_s")}, limited by ${p.bottleneck}`);
  }
}

function drawBars(place, rows, label) {
  const shown = [...rows].sort((a, b) => b.expected_s - a.expected_s).slice(0, 12);
  const c = canvas(place, 26 * shown.length + 40, label);
  const longest = Math.max(...shown.map((r) => r.name.length), 4);
  const box = {left: Math.min(7.2 * longest + 10, c.width * 0.44), right: c.width - 66, top: 4, bottom: 26 * shown.length + 4};
  const most = Math.max(...shown.map((r) => Math.max(r.expected_s, r.bound_s)), 1e-12);
  const x = linear(0, most, box.left, box.right);
  for (const v of ticks(most, c.width < 500 ? 3 : 5)) {
    svg(c.root, "line", {class: "grid", x1: x(v), x2: x(v), y1: box.top, y2: box.bottom});
    svg(c.root, "text", {x: x(v), y: box.bottom + 16, "text-anchor": "middle"}, v ? brief(v, "seconds") : "0");
  }
  shown.forEach((r, i) => {
    const top = box.top + 26 * i + 4;
    svg(c.root, "text", {x: box.left - 6, y: top + 13, "text-anchor": "end"}, r.name);
    const bar = svg(c.root, "rect", {x: box.left, y: top, width: Math.max(x(r.expected_s) - box.left, 1), height: 18,
      fill: colourOf(r.part)});
    svg(bar, "title", {}, `${r.name}: expected ${seconds(r.expected_s)}, bound ${seconds(r.bound_s)}, limited by ` +
      `${r.bottleneck}`);
    svg(c.root, "line", {class: "mark", x1: x(r.bound_s), x2: x(r.bound_s), y1: top - 2, y2: top + 20});
    svg(c.root, "text", {x: x(Math.max(r.expected_s, r.bound_s)) + 5, y: top + 13},
      `${seconds(r.expected_s)}${c.width < 500 ? "" : ` ${percent(r.share)}`}`);
  });
}

function drawMemory(place, {points, now, axis, label}, capacity) {
  const c = canvas(place, 300, label), box = {left: 66, right: c.width - 12, top: 22, bottom: 254};
  const stack = ({parts: [a, b, c]}) => [a, a + b, a + b + c];
  const most = Math.max(capacity * 1.15, ...points.filter((p) => p.at <= now).map((p) => stack(p)[2]));
  const clip = Math.min(most, capacity * 4), least = points[0].at, last = points.at(-1).at;
  const x = logScale(least, last, box.left, box.right);
  const y = linear(0, clip, box.bottom, box.top);
  const area = svg(c.root, "svg", {x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top,
    viewBox: `${box.left} ${box.top} ${box.right - box.left} ${box.bottom - box.top}`, overflow: "hidden"});
  for (const i of [2, 1, 0]) {
    const top = points.map((p) => [x(p.at), y(stack(p)[i])]);
    svg(area, "path", {fill: MEMORY_COLOURS[i], d: `${line([[box.left, box.bottom], ...top, [box.right, box.bottom]])}z`});
  }
  axes(c, box, x, powersOf(2, least, last, c.width < 480 ? 5 : 9), (v) => v < 1024 ? v : `${v / 1024}Ki`,
    y, ticks(clip, 5), (v) => v ? brief(v, "bytes") : "0", axis);
  svg(c.root, "line", {class: "mark dash", x1: box.left, x2: box.right, y1: y(capacity), y2: y(capacity)});
  svg(c.root, "text", {x: box.left + 5, y: y(capacity) - 5}, `capacity ${quantity(capacity, "bytes")}`);
  if (now >= least && now <= last) {
    svg(c.root, "line", {class: "mark", x1: x(now), x2: x(now), y1: box.top, y2: box.bottom});
    svg(c.root, "text", {x: x(now) + (x(now) > c.width / 2 ? -5 : 5), y: box.top - 6, "text-anchor": x(now) > c.width / 2
      ? "end" : "start"}, `now: ${plain(now)}`);
  }
}

function drawOverBatch(place, points, now, get, text, colour, label) {
  const c = canvas(place, 250, label), box = {left: 78, right: c.width - 12, top: 14, bottom: 206};
  const shown = points.filter((p) => get(p).expected > 0);
  if (!shown.length) return;
  const all = shown.flatMap((p) => Object.values(get(p)).filter((v) => v > 0));
  const least = Math.min(...all) / 1.3, most = Math.max(...all) * 1.3;
  const x = logScale(shown[0].batch, shown.at(-1).batch, box.left, box.right), y = logScale(least, most, box.bottom, box.top);
  axes(c, box, x, powersOf(2, shown[0].batch, shown.at(-1).batch, c.width < 400 ? 5 : 7), plain, y, roundTicks(least, most, 7), text, WORDS.overAxis);
  const band = shown.filter((p) => get(p).p10 > 0);
  if (band.length) {
    svg(c.root, "path", {fill: colour, opacity: 0.2, d: `${line([...band.map((p) => [x(p.batch), y(get(p).p10)]),
      ...band.reverse().map((p) => [x(p.batch), y(get(p).p90)])])}z`});
  }
  svg(c.root, "path", {fill: "none", stroke: colour, "stroke-width": 2.5,
    d: line(shown.map((p) => [x(p.batch), y(get(p).expected)]))});
  if (shown[0].batch <= now.batch && now.batch <= shown.at(-1).batch && get(now).expected > 0) {
    svg(c.root, "circle", {cx: x(now.batch), cy: y(get(now).expected), r: 6, class: "dot", fill: colour});
  }
}
