// What the annotator is told about saving: one quiet line while all is well, a banner with a way out when it is not.

/** Build `show(state, detail)` for the saver; `freeze(true)` while a submission is under way. */
export function createStatus({ freeze, leave }) {
  const line = document.getElementById("save-state");
  const banner = document.getElementById("save-banner");

  const states = {
    unsaved: () => quiet("not saved yet"),
    saving: ({ submitting }) => {
      freeze(submitting);
      quiet(submitting ? "submitting…" : "saving…", { keepBanner: true });
    },
    saved: (data) => quiet(savedWords(data)),
    submitted: (data) => {
      quiet(savedWords(data));
      leave(data.next);
    },
    failed: ({ status, retry }) => {
      line.textContent = "not saved";
      if (status === 401) {
        alert("You have been signed out. Your work is kept here.", [
          link("Sign in again in a new tab", "/login"),
          action("Then save", retry),
        ]);
        return;
      }
      alert("Not saved: the server cannot be reached. Your work is kept in this browser; please stay on this page.", [
        action("Try again now", retry),
      ]);
    },
    stale: ({ data, keepMine }) => {
      freeze(false);
      line.textContent = "not saved";
      alert(`${data.error.message} ${data.error.remedy}`, [
        action("Keep mine", () => keepMine(data.current)),
        action("Load the other one", () => leave(location.href, { discard: true })),
      ]);
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

  return (state, detail = {}) => states[state](detail);
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

function link(words, href) {
  const element = document.createElement("a");
  Object.assign(element, { className: "btn btn-small", textContent: words, href, target: "_blank", rel: "noopener" });
  return element;
}
