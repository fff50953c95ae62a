// What the annotator is told about saving: one quiet line while all is well, a banner with a way out when it is not.

/** Build `show(state, detail)` for the saver; `freeze(true)` while a submission is under way. `signIn` and `compare` ask. */
export function createStatus({ freeze, leave, signIn, compare, passed }) {
  const line = document.getElementById("save-state");
  const banner = document.getElementById("save-banner");

  let asked = false;

  const states = {
    unsaved: () => quiet("not saved yet"),
    saving: ({ submitting }) => {
      freeze(submitting);
      quiet(submitting ? "submitting…" : "saving…", { keepBanner: true });
    },
    saved: (data) => {
      asked = false;
      quiet(savedWords(data));
    },
    submitted: (data) => {
      quiet(savedWords(data));
      passed();
      leave(data.next);
    },
    failed: ({ status, data, retry }) => {
      line.textContent = "not saved";
      if (status === 401) {
        alert("You have been signed out. Your work is kept here.", [
          action("Sign in again", () => signIn(retry)),
          action("I signed in elsewhere: save", retry),
        ]);
        // Asked for once; whoever puts it off finds the button.
        if (!asked) signIn(retry);
        asked = true;
        return;
      }
      const why = data?.error?.message ?? "the server cannot be reached.";
      alert(`Not saved: ${why} Your work is kept in this browser; please stay on this page.`, [
        action("Try again now", retry),
      ]);
    },
    stale: ({ data, keepMine, adopt }) => {
      freeze(false);
      line.textContent = "not saved";
      const ask = () => compare(data.current, { mine: () => keepMine(data.current), other: () => adopt(data.current) });
      alert(`${data.error.message} ${data.error.remedy}`, [action("Compare the two versions", ask)]);
      ask();
    },
    refused: ({ data, status }) => {
      freeze(false);
      line.textContent = "not saved";
      const error = data?.error ?? { message: `The server refused this (${status}).`, remedy: "" };
      const ways = status === 409 ? [action("Leave this item", () => leave("/judge?stay", { discard: true }))] : [];
      alert(`${error.message} ${error.remedy}`, ways);
    },
  };

  function quiet(words, { keepBanner = false } = {}) {
    line.textContent = words;
    if (!keepBanner) banner.hidden = true;
  }

  function alert(words, ways) {
    banner.querySelector(".judging-banner-text").textContent = words;
    banner.querySelector(".judging-banner-actions").replaceChildren(...ways);
    banner.hidden = false;
  }

  const show = (state, detail = {}) => states[state](detail);
  return Object.assign(show, { alert: (words, ...ways) => alert(words, ways.map(([name, act]) => action(name, act))) });
}

/** `saved 14:02:11 (rev 7)`, in the annotator's own time. */
export function savedWords({ saved_at: moment, revision }) {
  const time = new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return `saved ${time} (rev ${revision})`;
}

function action(words, act) {
  const element = document.createElement("button");
  Object.assign(element, { type: "button", className: "btn btn-small", textContent: words });
  element.addEventListener("click", () => act());
  return element;
}
