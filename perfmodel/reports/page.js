const PITCH = 38, FROM_BAR = 0.46;
function narrow(spec, element) {
  const {layout, data} = spec, x = layout.xaxis || {}, y = layout.yaxis || {};
  layout.annotations = (layout.annotations || []).filter((note) => note.name !== "wide-only");
  spec.data = data.filter((trace) => trace.name !== "wide-only" || trace.meta <= 5);
  data.filter((trace) => trace.type === "heatmap").forEach((trace) => { trace.colorbar.title = {text: ""}; });
  if (x.ticktext && x.ticktext.join("   ").length > 30) {
    const step = Math.ceil(x.ticktext.join("   ").length / 30), kept = (all) => all.filter((_, i) => i % step === 0);
    Object.assign(x, {tickvals: kept(x.tickvals), ticktext: kept(x.ticktext)});
  }
  if (x.title) x.tickangle = 0;
  // bars whose names stand beside them would be left a third of a phone: the names go above
  if (y.ticktext && y.range && y.range[0] > y.range[1]) {
    const names = y.ticktext, rows = names.length, height = parseFloat(element.style.height);
    element.style.height = `${height + Math.max(0, PITCH - (height - 70) / rows) * rows}px`;
    layout.annotations.push(...names.map((text, row) => ({text, x: 0, xref: "paper", xanchor: "left",
      y: row - FROM_BAR, yanchor: "middle", showarrow: false, font: {size: 12}})));
    Object.assign(y, {ticktext: names.map(() => ""), range: [rows - 0.6, -0.75], automargin: false});
    layout.margin = {...layout.margin, l: 8};
    data.filter((trace) => trace.width).forEach((trace) => { trace.width = 0.42; });
    Object.assign(layout, {bargap: 0.58, boxgap: 0.58});
  }
}
const drawn = [...document.querySelectorAll("script[data-plot]")].map((source) => {
  const spec = JSON.parse(source.textContent), element = document.getElementById(source.dataset.plot);
  if (innerWidth <= 640) narrow(spec, element);
  Plotly.newPlot(element, spec.data, spec.layout, {responsive: true, displaylogo: false,
    displayModeBar: spec.zoomable ? "hover" : false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]]});
  return element;
});
const folds = [...document.querySelectorAll("details")];
let open = [];
addEventListener("beforeprint", () => { open = folds.map((fold) => fold.open);
  folds.forEach((fold) => { fold.open = true; });
  document.body.style.width = "680px"; drawn.forEach((element) => Plotly.Plots.resize(element)); });
addEventListener("afterprint", () => { folds.forEach((fold, i) => { fold.open = open[i]; });
  document.body.style.width = ""; drawn.forEach((element) => Plotly.Plots.resize(element)); });
