import { byId, say } from "./dom";

// A swap keeps the focus by stable ids; if the focused element went, the heading takes it.
let focused: string | null = null;

function remember() {
  const element = document.activeElement;
  focused = element && element !== document.body ? element.id || "" : null;
}

function restore() {
  if (focused === null || document.activeElement !== document.body) return;
  const target = (focused && byId(focused)) || document.querySelector<HTMLElement>("h1");
  target?.focus({ preventScroll: true });
}

function announce() {
  const summary = document.querySelector("[data-announce]");
  if (summary?.textContent) say(summary.textContent.trim());
}

export function startSwaps() {
  document.addEventListener("htmx:before:swap", remember);
  document.addEventListener("htmx:after:swap", (event) => {
    restore();
    const source = (event as CustomEvent<{ ctx?: HtmxContext }>).detail?.ctx?.sourceElement;
    if (!source?.closest?.("[data-live]") || source.matches("form")) announce();
    document.dispatchEvent(new CustomEvent("qc:upgrade"));
  });
  document.addEventListener("htmx:error", () => say("The platform did not answer. Retrying."));
}
