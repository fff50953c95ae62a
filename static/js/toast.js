// Messages at the edge of the page; importing this adds no listener, app.js dismisses them.

/** Say something in words at the edge of the page. Kinds: ok, info, warn, error; errors stay until dismissed. */
export function toast(text, kind = "ok") {
  const region = document.getElementById("toasts");
  const element = document.createElement("div");
  element.className = `toast toast-${kind}`;
  element.dataset.toast = "";
  element.setAttribute("role", kind === "error" ? "alert" : "status");
  const words = document.createElement("div");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn btn-quiet btn-icon";
  close.dataset.toastClose = "";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "×";
  element.append(words, close);
  region.append(element);
  if (kind !== "error") setTimeout(() => element.remove(), 6000);
}
