// The tree of branches: arrow keys walk its links as one would read it. Without this file Tab does the same.

function step(list, link, key) {
  const links = [...list.querySelectorAll("a.branch-link")];
  const at = links.indexOf(link);
  const item = link.closest("li");
  switch (key) {
    case "ArrowDown":
      return links[at + 1];
    case "ArrowUp":
      return links[at - 1];
    case "ArrowRight":
      return item.querySelector(":scope > ul a.branch-link");
    case "ArrowLeft":
      return item.parentElement.closest("li")?.querySelector("a.branch-link");
    case "Home":
      return links[0];
    case "End":
      return links.at(-1);
    default:
      return null;
  }
}

// The tree may come into the page later, so the document listens.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const link = event.target.closest?.("a.branch-link");
  const next = link && step(link.closest("[data-branches]"), link, event.key);
  if (!next) return;
  event.preventDefault();
  next.focus();
});
