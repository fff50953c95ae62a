// Selected words of a response: by mouse, touch or Shift and the arrows; a button beside them, or `w`, asks where from.

import { closeSheet, isOpen, openSheet } from "./sources-sheet.js";

const SETTLE_MS = 150;
const MARGIN_PX = 8;

let asked = null;

function codePoints(text) {
  let n = 0;
  for (const _ of text) n += 1;
  return n;
}

function containerOf(node) {
  const element = node?.nodeType === Node.ELEMENT_NODE ? node : node?.parentElement;
  const container = element?.closest("[data-tokens]");
  return container?.dataset.response ? container : null;
}

/** Say which code points of the response a range covers; null outside one stored response. */
export function askedOf(range) {
  const container = containerOf(range.startContainer);
  if (!container || container !== containerOf(range.endContainer)) return null;
  const before = document.createRange();
  before.selectNodeContents(container);
  before.setEnd(range.startContainer, range.startOffset);
  const start = codePoints(before.toString());
  const text = range.toString();
  if (!text.trim()) return null;
  return { container, start, end: start + codePoints(text) };
}

function ask(wanted) {
  if (!wanted) return;
  button().hidden = true;
  openSheet(wanted);
}

function button() {
  let found = document.querySelector("[data-source-ask]");
  if (!found) {
    found = document.createElement("button");
    found.type = "button";
    found.className = "source-ask";
    found.dataset.sourceAsk = "";
    found.textContent = "Where does this come from?";
    found.hidden = true;
    // Pressing the button must not take the selection away.
    found.addEventListener("pointerdown", (event) => event.preventDefault());
    found.addEventListener("click", () => ask(asked));
    document.body.append(found);
  }
  return found;
}

function offer() {
  const selection = getSelection();
  const range = selection.rangeCount && !selection.isCollapsed ? selection.getRangeAt(0) : null;
  asked = range && askedOf(range);
  const offered = button();
  offered.hidden = !asked;
  if (!asked) return;
  const box = [...range.getClientRects()].at(-1) ?? range.getBoundingClientRect();
  offered.hidden = box.bottom < 0 || box.top > innerHeight;
  const left = Math.min(box.left, innerWidth - offered.offsetWidth - MARGIN_PX);
  const below = box.bottom + MARGIN_PX;
  const top = below + offered.offsetHeight > innerHeight ? box.top - offered.offsetHeight - MARGIN_PX : below;
  offered.style.left = `${Math.max(MARGIN_PX, left)}px`;
  offered.style.top = `${Math.max(MARGIN_PX, top)}px`;
}

/** Extend the selection from token to token, as Shift and an arrow do in any text. */
function extend(token, step) {
  const next = step > 0 ? token.nextElementSibling : token.previousElementSibling;
  const selection = getSelection();
  // Who has moved on since begins a new selection.
  const anchored = !selection.isCollapsed && token.contains(selection.focusNode);
  const anchor = anchored ? selection.anchorNode.parentElement.closest("[data-i]") : token;
  const focus = anchored ? (next ?? token) : token;
  const forward = Number(focus.dataset.i) >= Number(anchor.dataset.i);
  const from = forward ? [anchor.firstChild ?? anchor, 0] : [anchor.firstChild ?? anchor, anchor.textContent.length];
  const to = forward ? [focus.firstChild ?? focus, focus.textContent.length] : [focus.firstChild ?? focus, 0];
  selection.setBaseAndExtent(...from, ...to);
  return focus;
}

function tokenRange(token) {
  const range = document.createRange();
  range.selectNodeContents(token);
  return range;
}

/** A drag that begins at the very start of something focusable selects nothing in Chromium: look unfocusable till it ends. */
function letDrag(event) {
  const token = event.pointerType === "mouse" && event.button === 0 && event.target.closest?.("[data-tokens] > [tabindex]");
  if (!token) return;
  const index = token.getAttribute("tabindex");
  const ended = new AbortController();
  const restore = () => {
    ended.abort();
    token.setAttribute("tabindex", index);
    if (getSelection().isCollapsed) token.focus({ preventScroll: true });
  };
  token.removeAttribute("tabindex");
  for (const name of ["pointerup", "pointercancel", "dragend"]) addEventListener(name, restore, { capture: true, signal: ended.signal });
}

/** Listen once, on the document: tokens come and go. */
export function connectSelection(focusToken) {
  let timer = 0;
  document.addEventListener("selectionchange", () => {
    clearTimeout(timer);
    timer = setTimeout(offer, SETTLE_MS);
  });
  document.addEventListener("pointerdown", letDrag, true);
  addEventListener("scroll", () => asked && offer(), { passive: true, capture: true });
  // Before the explorer's own arrow keys, which move without selecting.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Escape" && isOpen()) {
        event.stopPropagation();
        closeSheet();
        return;
      }
      const token = event.target.closest?.("[data-tokens][data-response] > [data-i]");
      if (!token?.parentElement.dataset.response || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.shiftKey && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
        event.preventDefault();
        event.stopPropagation();
        focusToken(extend(token, event.key === "ArrowRight" ? 1 : -1));
      } else if (event.key === "w") {
        event.preventDefault();
        event.stopPropagation();
        const wanted = asked?.container === token.parentElement ? asked : askedOf(tokenRange(token));
        ask(wanted);
      }
    },
    true,
  );
}
