// A response drawn: its text character for character, with marked passages, and its Markdown as looks of the same text.

// Those that are boxes around others; what is left lies within a line.
const BLOCKS = new Set(["quote", "item", "numbered", "table", "head", "row", "cell", "pre", "rule"]);

/** Turn `[start, end, kind]` in code points into UTF-16 positions. */
export function inUnits(text, styles = []) {
  const units = [0];
  for (const character of text) units.push(units.at(-1) + character.length);
  return styles.map(([start, end, kind]) => ({ start: units[start], end: units[end], kind }));
}

/** Show `text` with `marks` ({start, end, number, major}), free to overlap, and `styles` ({start, end, kind}), outer before
 * inner and nested, all in UTF-16 positions; text stays text, never markup. */
export function paint(container, text, marks, styles = []) {
  const edges = new Set([0, text.length]);
  for (const { start, end } of [...marks, ...styles]) edges.add(start).add(end);
  const cuts = [...edges].sort((one, other) => one - other);
  const whole = document.createDocumentFragment();
  const boxes = [{ element: whole, end: Infinity }];
  let from = 0;
  let open = [];
  for (const [at, start] of cuts.slice(0, -1).entries()) {
    while (boxes.at(-1).end <= start) boxes.pop();
    // Only what began and has not ended is looked at, so that a long response stays quick.
    open = open.filter(({ end }) => end > start);
    for (; from < styles.length && styles[from].start <= start; from += 1) {
      if (BLOCKS.has(styles[from].kind)) boxes.push({ element: box(boxes.at(-1).element, styles[from].kind), end: styles[from].end });
      else open.push(styles[from]);
    }
    boxes.at(-1).element.append(segment(text, start, cuts[at + 1], marks, open));
  }
  container.replaceChildren(whole);
}

function box(parent, kind) {
  const element = document.createElement("span");
  element.className = `md-${kind}`;
  parent.append(element);
  return element;
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
