// The keys somebody chose: shown wherever keys are named, changed in a dialog, kept with the account.

import { post } from "./judging_post.js";

const DEFAULTS = {
  next_row: "j", previous_row: "k", mark: "m", skip: "s", flag: "f", guidelines: "g", raw: "r", link_scroll: "l", help: "?", redo: "y",
};

/** `chosen` is `{action: key}` of those that differ. `act(key)` names the action of a key. */
export function createShortcuts(chosen, say) {
  const dialog = document.getElementById("shortcuts-dialog");
  const form = dialog.querySelector("form");
  const fields = [...form.querySelectorAll("[data-action]")];
  const problem = document.getElementById("shortcuts-problem");
  let keys = { ...DEFAULTS, ...chosen };

  function show() {
    for (const place of document.querySelectorAll("[data-key-of]")) place.textContent = keys[place.dataset.keyOf];
  }

  /** The first thing wrong with what is typed, in words; empty when nothing is. */
  function check() {
    const taken = new Map();
    let found = "";
    for (const field of fields) {
      const key = field.value.toLowerCase();
      const name = field.labels[0].textContent;
      const wrong = !key.trim() ? `“${name}” needs a key.`
        : /\p{N}/u.test(key) ? `“${name}”: digits rate, so they cannot be shortcuts.`
          : taken.has(key) ? `“${name}” and “${taken.get(key)}” cannot share the key ${key}.` : "";
      field.toggleAttribute("aria-invalid", Boolean(wrong));
      if (wrong) field.setAttribute("aria-invalid", "true");
      taken.set(key, name);
      found ||= wrong;
    }
    problem.textContent = found;
    return found;
  }

  function fill(from) {
    for (const field of fields) field.value = from[field.dataset.action];
    check();
  }

  form.addEventListener("input", check);
  form.addEventListener("focusin", (event) => event.target.select?.());
  form.addEventListener("click", (event) => {
    if (event.target.value === "defaults") fill(DEFAULTS);
    if (event.target.value === "cancel") dialog.close();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (check()) return;
    const wanted = Object.fromEntries(fields.map((field) => [field.dataset.action, field.value]));
    const changed = Object.fromEntries(Object.entries(wanted).filter(([action, key]) => key !== DEFAULTS[action]));
    const reply = await post("/judge/shortcuts", changed);
    if (reply.status !== 200) {
      problem.textContent = reply.data?.error ? `${reply.data.error.message} ${reply.data.error.remedy ?? ""}` : "Not saved: the server cannot be reached.";
      return;
    }
    keys = wanted;
    show();
    dialog.close();
    say("Your keys are saved.");
  });

  show();
  return {
    act: (key) => Object.keys(keys).find((action) => keys[action].toLowerCase() === key.toLowerCase()),
    open() {
      fill(keys);
      dialog.showModal();
    },
  };
}
