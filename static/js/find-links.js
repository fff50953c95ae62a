// From a token in a list to the same token in the response beside it; elsewhere the link leads to its page.

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("[data-token-link]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const span = document.querySelector(`[data-tokens] [data-i="${Number(link.dataset.tokenLink)}"]`);
  if (!span) return;
  event.preventDefault();
  span.scrollIntoView({ block: "center", behavior: "auto" });
  span.focus({ preventScroll: true });
  span.click();
});
