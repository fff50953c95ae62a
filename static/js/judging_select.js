// Marking what is selected: a mouse drag marks at once; with a finger a button waits until the handles stand right.

import { characters, measure, snap, words } from "./judging_text.js";

const STORE = "tuneshift-exact";

/** Call `mark(side, start, end)` for selections in `containers`; returns `toggle` for whole words or exact characters. */
export function createSelecting({ form, texts, containers, editable, mark, say }) {
  const dialog = document.getElementById("span-dialog");
  const button = document.getElementById("mark-here");
  const coarse = matchMedia("(pointer: coarse)");
  let finger = coarse.matches;
  let exact = remembered();
  show();

  function show() {
    form.querySelector("[data-act=exact]")?.setAttribute("aria-pressed", String(exact));
  }

  /** The selected stretch of one response, in whole pieces; null where nothing of one is selected. */
  function selected(precisely = exact) {
    const selection = getSelection();
    if (!editable || dialog.open || !selection.rangeCount || selection.isCollapsed) return null;
    const side = Object.keys(containers).find((one) => containers[one].contains(selection.anchorNode));
    if (!side) return null;
    const range = selection.getRangeAt(0);
    const from = measure(containers[side], range.startContainer, range.startOffset);
    const to = measure(containers[side], range.endContainer, range.endOffset);
    const whole = snap((precisely ? characters : words)(texts[side]), from, to);
    return whole && { side, ...whole };
  }

  for (const container of Object.values(containers)) {
    // The drag may end outside the response, so the release is awaited anywhere.
    container.addEventListener("pointerdown", (down) => {
      finger = down.pointerType === "touch";
      if (finger || container.hasAttribute("data-marking")) return;
      document.addEventListener("pointerup", (up) => setTimeout(() => {
        const found = selected(up.altKey !== exact);
        if (found) mark(found.side, found.start, found.end);
      }), { once: true });
    });
  }

  document.addEventListener("selectionchange", () => {
    const found = finger && !document.querySelector(".answer[data-marking]") ? selected() : null;
    button.hidden = !found;
    if (found) place(getSelection().getRangeAt(0).getBoundingClientRect());
  });
  addEventListener("scroll", () => {
    if (!button.hidden) place(getSelection().getRangeAt(0).getBoundingClientRect());
  }, { capture: true, passive: true });

  /** Under the selection and its handles, or above where there is no room. */
  function place(box) {
    const below = box.bottom + 24 + button.offsetHeight < innerHeight;
    const top = below ? box.bottom + 24 : box.top - button.offsetHeight - 12;
    const left = box.left + box.width / 2 - button.offsetWidth / 2;
    button.style.top = `${Math.max(8, Math.min(innerHeight - button.offsetHeight - 8, top))}px`;
    button.style.left = `${Math.max(8, Math.min(innerWidth - button.offsetWidth - 8, left))}px`;
  }

  // A tap elsewhere would end the selection before the click is heard.
  button.addEventListener("pointerdown", (event) => event.preventDefault());
  button.addEventListener("click", () => {
    const found = selected();
    button.hidden = true;
    if (found) mark(found.side, found.start, found.end);
  });

  return {
    exact: () => exact,
    toggle() {
      exact = !exact;
      show();
      try {
        localStorage.setItem(STORE, exact ? "on" : "off");
      } catch {
        // Without storage it lasts for this page.
      }
      say(exact ? "Marks take exactly what is selected." : "Marks take whole words.");
    },
  };
}

function remembered() {
  try {
    return localStorage.getItem(STORE) === "on";
  } catch {
    return false;
  }
}
