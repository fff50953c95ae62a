// A response drawn: its text character for character, with marked passages, and its Markdown as looks of the same text.

/** Turn `[start, end, kind]` in code points into UTF-16 positions. */
export function inUnits(text, styles = []) {
  const units = [0];
  for (const character of text) units.push(units.at(-1) + character.length);
  return styles.map(([start, end, kind]) => ({ start: units[start], end: units[end], kind }));
}

/** Show `text` with `marks` ({start, end, number, major}) and `styles` ({start, end, kind}), both in UTF-16 positions and
 * free to overlap; text stays text, never markup. */
export function paint(container, text, marks, styles = []) {
  const edges = new Set([0, text.length]);
  for (const { start, end } of [...marks, ...styles]) edges.add(start).add(end);
  const cuts = [...edges].sort((one, other) => one - other);
  const nodes = [];
  let from = 0;
  const ordered = [...styles].sort((one, other) => one.start - other.start);
  let open = [];
  for (const [at, start] of cuts.slice(0, -1).entries()) {
    // Only what began and has not ended is looked at, so that a long response stays quick.
    while (from < ordered.length && ordered[from].start <= start) open.push(ordered[from++]);
    open = open.filter(({ end }) => end > start);
    nodes.push(segment(text, start, cuts[at + 1], marks, open));
  }
  container.replaceChildren(...nodes);
}

function segment(text, start, end, marks, styles) {
  const over = marks.filter((mark) => mark.start < end && mark.end > start);
  const node = document.createTextNode(text.slice(start, end));
  if (!over.length && !styles.length) return node;
  const element = document.createElement(over.length ? "mark" : "span");
  element.className = [...new Set(styles.map(({ kind }) => `md-${kind}`))].join(" ");
  if (over.length) element.classList.add("span-mark");
  element.classList.toggle("span-major", over.some((mark) => mark.major));
  element.classList.toggle("span-overlap", over.length > 1);
  const ending = over.filter((mark) => mark.end === end).map((mark) => mark.number);
  // Shown by a stylesheet, so that it never becomes part of the text that is measured.
  if (ending.length) element.dataset.number = ending.join(" ");
  element.append(node);
  return element;
}
