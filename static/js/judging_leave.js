// Leaving an item: by a link, by undo, by signing out. Nothing unsaved is left behind without a word.

import { toast } from "./toast.js";

/** `show.alert` opens the banner. */
export function createLeaving({ saver, show }) {
  function leave(url, { discard = false } = {}) {
    if (discard) saver.discard();
    if (url === location.href) location.reload();
    else location.assign(url);
  }

  /** Go once the work is safe; when it cannot be saved, the browser asks before leaving. */
  async function go(url) {
    if (saver.unsaved()) await saver.flush();
    if (!saver.unsaved()) leave(url);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || link.target || event.ctrlKey || event.metaKey || event.shiftKey || !saver.unsaved()) return;
    event.preventDefault();
    go(link.href);
  });

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.getAttribute("action") !== "/logout" || !saver.unsaved()) return;
    // Signing out clears what this browser keeps, so it waits for the server to have it.
    event.preventDefault();
    await saver.flush();
    const out = () => {
      saver.discard();
      form.requestSubmit();
    };
    if (!saver.unsaved()) out();
    else show.alert("You are not signed out yet: your last changes are not saved, and signing out would lose them.", ["Try to save again", () => saver.flush()], ["Sign out and lose them", out]);
  }, { capture: true });

  return {
    leave,
    go,
    /** Say where undo led. */
    arrived() {
      if (location.hash !== "#undo") return;
      history.replaceState(history.state, "", location.pathname);
      toast("Back at the item you submitted before. Undo once more to take back its last change.", "info");
    },
  };
}
