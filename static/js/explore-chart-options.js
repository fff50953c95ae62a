// How a position chart looks: axes, colours of the theme, the end of the first 5 %.

const HEIGHT_PX = 128;

/** Colours as the theme has them now; a canvas cannot read custom properties. */
function colours(box) {
  const style = getComputedStyle(box);
  return { text: style.color, grid: style.borderTopColor, line: style.caretColor };
}

/** A logarithmic axis has its decades, every other one where there are many. */
function decades(_, __, low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const step = last - first > 3 ? 2 : 1;
  const all = [];
  for (let power = first; power <= last; power += step) all.push(10 ** power);
  return all;
}

function compact(value) {
  if (value === null) return "";
  return Math.abs(value) >= 1000 ? `${value / 1000}k` : String(Number(value.toPrecision(3)));
}

/** Options of uPlot for one row of the table of measures; `pointed(index)` hears where the pointer is. */
export function chartOptions(holder, row, range, pointed) {
  const { text, grid, line } = colours(holder);
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const splits = row.scale === "log" ? { splits: decades } : {};
  const axis = { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
  return {
    width: holder.clientWidth,
    height: HEIGHT_PX,
    padding: [8, 14, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { time: false, range: (_, low, high) => [Math.min(1, low), Math.max(2, high)] },
      y: { distr: row.scale === "log" ? 3 : 1, log: 10, range: () => [range.low, range.high] },
    },
    axes: [
      { ...axis, size: 22, gap: 2, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
      { ...axis, size: 38, gap: 3, values: (_, all) => all.map(compact), filter: (_, all) => all, ...splits },
    ],
    series: [{}, { stroke: line, width: 1.25, spanGaps: false, points: { show: false } }],
    hooks: { setCursor: [(plot) => plot.cursor.left >= 0 && pointed(plot.cursor.idx)] },
  };
}

/** Draw where the first 5 % of the tokens (rounded up) end. */
export function markFirst(plot, n, box) {
  const x = Math.round(plot.valToPos(Math.ceil(n / 20) + 0.5, "x", true));
  const { text } = colours(box.querySelector("[data-plot]"));
  const { ctx } = plot;
  const { top, height } = plot.bbox;
  ctx.save();
  ctx.strokeStyle = text;
  ctx.fillStyle = text;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(x, top);
  ctx.lineTo(x, top + height);
  ctx.stroke();
  ctx.font = `${10 * devicePixelRatio}px sans-serif`;
  ctx.textAlign = "left";
  ctx.fillText("5 %", x + 3 * devicePixelRatio, top + 10 * devicePixelRatio);
  ctx.restore();
}
