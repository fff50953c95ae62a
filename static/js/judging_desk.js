// The desk and what leads on from it: the one thing to do next has the focus, so Enter does it.
document.querySelector("[data-autofocus]")?.focus({ preventScroll: true });
