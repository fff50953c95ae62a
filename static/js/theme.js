// Runs before the first paint, so that a chosen theme never flashes. Everything else waits for app.js.
(() => {
  try {
    const chosen = localStorage.getItem("tuneshift-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be blocked; the system's theme then decides.
  }
})();
