// Text by position. The server counts Unicode code points, JavaScript counts UTF-16 units; these convert, and find words.

const segmenter = new Intl.Segmenter(undefined, { granularity: "word" });
const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Code points before a UTF-16 position. */
export function toPoints(text, unit) {
  let points = 0;
  for (const _ of text.slice(0, unit)) points += 1;
  return points;
}

/** UTF-16 position of a code point. */
export function toUnits(text, point) {
  let unit = 0;
  for (const character of text) {
    if (point === 0) break;
    unit += character.length;
    point -= 1;
  }
  return unit;
}

/** Words and punctuation, blanks left out, as [start, end) in UTF-16 units. */
export function words(text) {
  return parts(segmenter, text).filter(({ start, end }) => /\S/u.test(text.slice(start, end)));
}

/** What a reader sees as single characters, as [start, end) in UTF-16 units. */
export function characters(text) {
  return parts(graphemes, text);
}

function parts(by, text) {
  return Array.from(by.segment(text), ({ index, segment }) => ({ start: index, end: index + segment.length }));
}

/** Widen a selection to whole pieces (words or characters); null where it covers blanks only. */
export function snap(pieces, start, end) {
  const touched = pieces.filter((piece) => piece.start < end && piece.end > start);
  return touched.length ? { start: touched[0].start, end: touched.at(-1).end } : null;
}

/** UTF-16 position in `container`'s text of a place in the document, clamped to the container. */
export function measure(container, node, offset) {
  const range = document.createRange();
  range.selectNodeContents(container);
  const side = range.comparePoint(node, offset);
  if (side < 0) return 0;
  if (side === 0) range.setEnd(node, offset);
  return range.toString().length;
}

/** The text node and offset at a UTF-16 position of `container`'s text. */
export function locate(container, unit) {
  const walker = document.createTreeWalker(container, NodeFilter.SHOW_TEXT);
  let node = walker.nextNode();
  while (node && unit > node.length) {
    unit -= node.length;
    node = walker.nextNode();
  }
  return node ? [node, unit] : [container, 0];
}
