// Marking with the keyboard: a word is selected as a caret, arrows move it, Shift extends it, Enter marks it.

import { characters, locate, words } from "./judging_text.js";

/** Build the mode over the responses in `spans.containers`; `enter(side)` starts it. */
export function createCaret({ texts, spans, exact, say }) {
  let mode = null;

  function enter(side) {
    if (mode) leave();
    const pieces = words(texts[side]);
    if (!pieces.length) return say("There is nothing to mark in this response.");
    mode = { side, start: pieces[0].start, end: pieces[0].end, anchor: pieces[0] };
    const container = spans.containers[side];
    container.dataset.marking = "";
    container.focus();
    show();
    say(`Marking in ${side === "left" ? "A" : "B"}: arrows move, Shift extends, Enter marks, Escape leaves.`);
    return undefined;
  }

  function leave() {
    if (!mode) return;
    delete spans.containers[mode.side].dataset.marking;
    getSelection().removeAllRanges();
    mode = null;
  }

  function show() {
    const container = spans.containers[mode.side];
    getSelection().setBaseAndExtent(...locate(container, mode.start), ...locate(container, mode.end));
    const [node] = locate(container, mode.end);
    const box = getSelection().getRangeAt(0).getBoundingClientRect();
    const frame = container.getBoundingClientRect();
    if (box.bottom > frame.bottom || box.top < frame.top) node.parentElement.scrollIntoView({ block: "nearest" });
    if (box.bottom > frame.bottom) container.scrollTop += box.bottom - frame.bottom + box.height;
    if (box.top < frame.top) container.scrollTop -= frame.top - box.top + box.height;
  }

  /** The moving edge goes one piece on; the other one stays where Shift began. */
  function move(step, event) {
    const pieces = (event.altKey !== exact() ? characters : words)(texts[mode.side]);
    const forwards = mode.end > mode.anchor.end || (mode.start === mode.anchor.start && step > 0);
    const edge = forwards ? mode.end : mode.start;
    const at = forwards
      ? pieces.findLastIndex((piece) => piece.start < edge)
      : pieces.findIndex((piece) => piece.end > edge);
    const next = pieces[Math.min(pieces.length - 1, Math.max(0, at + step))];
    if (event.shiftKey) {
      mode.start = Math.min(mode.anchor.start, next.start);
      mode.end = Math.max(mode.anchor.end, next.end);
    } else {
      Object.assign(mode, { start: next.start, end: next.end, anchor: next });
    }
    show();
  }

  async function mark() {
    const current = mode;
    await spans.mark(mode.side, mode.start, mode.end);
    // Escape may have come before the dialog's end did.
    if (mode !== current) return;
    spans.containers[mode.side].focus();
    show();
  }

  /** Take a key while the mode is on; true when it was used. */
  function take(event) {
    if (!mode) return false;
    const acts = {
      ArrowRight: () => move(1, event),
      ArrowDown: () => move(8, event),
      ArrowLeft: () => move(-1, event),
      ArrowUp: () => move(-8, event),
      Enter: mark,
      Escape: leave,
    };
    if (event.ctrlKey || event.metaKey || !acts[event.key]) return false;
    event.preventDefault();
    acts[event.key]();
    return true;
  }

  for (const container of Object.values(spans.containers)) {
    container.addEventListener("blur", () => {
      // A dialog takes the focus for a moment and gives it back.
      if (!document.querySelector("dialog[open]")) leave();
    });
  }

  return { enter, take, side: () => mode?.side };
}
