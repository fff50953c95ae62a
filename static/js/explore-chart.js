// The position view: one line per answer of the measure in use, or of KL added up, linked with its tokens.

import { chartOptions, markFirst } from "./explore-chart-options.js";
import { fillTable } from "./explore-chart-table.js";
import { loadMeasures, measureRow, showProblem } from "./explore-measures.js";
import { onChange, state } from "./explore-state.js";

let library;

function loadLibrary() {
  // A page that carries the library needs no file of it.
  if (globalThis.uPlot) return Promise.resolve(globalThis.uPlot);
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.querySelector("[data-explore-script]").dataset.uplot;
    script.addEventListener("load", () => resolve(globalThis.uPlot));
    script.addEventListener("error", () => reject(new Error("The charts could not be loaded.")));
    document.head.append(script);
  });
  return library;
}

/** What the charts show now: a row of the table of measures. Classes are charted by the rank that makes them. */
function charted() {
  if (state.chart === "cumulative") {
    return { name: "cumulative", title: "KL(tuned ‖ base) added up", unit: "nats", scale: "linear", low: 0, bounded: true };
  }
  return measureRow(state.measure === "shift_class" ? "base_rank" : state.measure);
}

function valuesOf(found, row) {
  return row.name === "cumulative" ? found.cumulative.kl_tuned_base : found.measures[row.name].values;
}

/** Connect the charts of a page; `add(column)` makes one once its column is stored and in sight, `retry(container)` again. */
export function connectCharts(root, retry) {
  const charts = new Map();
  const range = { low: 0, high: 1 };
  const sight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) make(target.closest("[data-column]"));
  }, { rootMargin: "200px" });

  function container(column) {
    return column.querySelector("[data-tokens]");
  }

  async function make(column) {
    const box = column.querySelector("[data-chart]");
    sight.unobserve(box);
    if (charts.has(column)) return;
    charts.set(column, null);
    try {
      const [uPlot, found] = await Promise.all([loadLibrary(), loadMeasures(container(column))]);
      charts.set(column, { found, box, plot: null, uPlot });
      redraw();
    } catch (error) {
      charts.delete(column);
      box.hidden = true;
      showProblem(container(column), error, () => retry(container(column)));
    }
  }

  /** One domain for all columns, wide enough for the largest value of any. */
  function measureRange(row, shown) {
    const all = shown.flatMap((chart) => valuesOf(chart.found, row)).filter((value) => value !== null);
    const largest = all.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    range.high = Math.max(largest * 1.05, row.scale === "log" ? row.low * 10 : 0, row.scale === "unit" ? 1 : 0.1);
    range.low = row.scale === "symmetric" ? -range.high : row.low;
  }

  function redraw() {
    const row = charted();
    const shown = [...charts.values()].filter(Boolean);
    measureRange(row, shown);
    for (const [column, chart] of charts) if (chart) drawOne(column, chart, row);
  }

  function drawOne(column, chart, row) {
    const { box, found, uPlot } = chart;
    chart.plot?.destroy();
    const values = valuesOf(found, row);
    const bound = row.bounded && found.kl_kind === "lower_bound" ? ", lower bound" : "";
    box.querySelector("[data-chart-title]").textContent = row.title + (row.unit ? `, ${row.unit}` : "") + bound;
    const holder = box.querySelector("[data-plot]");
    const name = container(column).dataset.checkpoint;
    holder.setAttribute("aria-label", `${row.title} by position, ${name}; the numbers are in the table below`);
    const low = row.scale === "log" ? row.low : -Infinity;
    const line = values.map((value) => (value === null ? null : Math.max(value, low)));
    const options = chartOptions(holder, row, range, (index) => point(column, index));
    options.hooks.draw = [(plot) => markFirst(plot, values.length, box)];
    chart.plot = new uPlot(options, [values.map((_, index) => index + 1), line], holder);
    chart.plot.over.addEventListener("click", () => visit(column, chart.plot.cursor.idx));
    chart.plot.over.addEventListener("pointerleave", () => point(column, null));
    fillTable(box, container(column), found, row, values);
  }

  /** Mark the token under the chart's cursor. */
  function point(column, index) {
    container(column).querySelector(".linked")?.classList.remove("linked");
    const span = index === null || index === undefined ? null : container(column).children[index];
    span?.classList.add("linked");
    const value = index === null ? null : charts.get(column)?.plot?.data[1][index];
    column.querySelector("[data-chart-value]").textContent = span
      ? `${index + 1}: ${value === null || value === undefined ? "none" : Number(value.toPrecision(4))}`
      : "";
  }

  function visit(column, index) {
    const span = container(column).children[index];
    if (!span) return;
    span.scrollIntoView({ block: "nearest" });
    span.dispatchEvent(new CustomEvent("token-keep", { bubbles: true }));
  }

  /** Put the chart's cursor on a token that is pointed at or focused. */
  function follow(event) {
    const span = event.target.closest?.("[data-tokens] > [data-i]");
    const column = span?.closest("[data-column]");
    const plot = charts.get(column)?.plot;
    if (!plot) return;
    const index = Number(span.dataset.i);
    plot.setCursor({ left: plot.valToPos(index + 1, "x"), top: 0 }, false);
    point(column, index);
    span.classList.remove("linked");
  }

  root.addEventListener("pointerover", follow);
  root.addEventListener("focusin", follow);
  onChange((names) => (names.has("measure") || names.has("chart")) && redraw());
  const again = () => redraw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) redraw();
    width = innerWidth;
  });

  return {
    add(column) {
      const box = column.querySelector("[data-chart]");
      if (!container(column).dataset.measures || !box || charts.has(column)) return;
      box.hidden = false;
      box.replaceChildren(root.querySelector("[data-chart-template]").content.cloneNode(true));
      sight.observe(box);
    },
  };
}
