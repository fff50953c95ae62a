// Undo and redo: of the last change of any kind; when nothing of this item is left to undo, back to the item before.

const KEEP = 100;
const TRAIL = "tuneshift-trail";

/** `capture` gives the answer as it stands, `restore` puts one back, `same` compares two; `name` is the item's. `show` is told
 * whether there is anything to redo. */
export function createUndo({ name, capture, restore, same, say, show, back }) {
  const store = `tuneshift-undo-${name}`;
  let past = [];
  let future = [];
  let current = capture();
  let typed = "";

  const kept = load(store);
  if (kept && same(kept.current, current)) ({ past, future = [] } = kept);
  show(future.length > 0);

  function remember() {
    past = past.slice(-KEEP);
    save(store, { past, current, future });
    show(future.length > 0);
  }

  /** Go one change back or on: what is on the page now is kept at the other end. */
  function move(from, to, words) {
    to.push(current);
    current = from.pop();
    typed = "";
    restore(current);
    remember();
    say(words());
  }

  return {
    /** Call after every change; `place` is the field it was made in. Typing in one field is one change. */
    note(place) {
      const now = capture();
      if (JSON.stringify(now) === JSON.stringify(current)) return;
      const field = place?.matches?.("input:not([type=radio], [type=checkbox]), textarea") ? place.name : "";
      if (!field || field !== typed) past.push(current);
      typed = field;
      future = [];
      current = now;
      remember();
    },
    /** What is on the page now is where undoing starts from, as after work came back. */
    settle() {
      current = capture();
      future = [];
      remember();
    },
    undo() {
      if (past.length) move(past, future, () => (past.length ? "Undone." : "Undone. Once more leads back to the item before."));
      else back();
    },
    redo() {
      if (future.length) move(future, past, () => "Redone.");
      else say("There is nothing to redo.");
    },
  };
}

/** Note that an item was submitted in this tab. */
export function pass(token) {
  save(TRAIL, [...(load(TRAIL) ?? []).filter((one) => one !== token), token].slice(-KEEP));
}

/** The item submitted last in this tab, other than the one on the page; null when there is none. */
export function lastPassed(token) {
  const trail = load(TRAIL) ?? [];
  const here = trail.indexOf(token);
  const before = here < 0 ? trail : trail.slice(0, here);
  return before.at(-1) ?? null;
}

function load(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {
    return null;
  }
}

function save(name, value) {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Without storage, undoing ends at the edge of the page.
  }
}
