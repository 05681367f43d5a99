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

/** Names the target to the server, and leaves what was not filled in out of the address. */
function prepare(ctx: HtmxContext) {
  const target = ctx.target;
  if (target) ctx.request.headers["HX-Target"] = `${target.tagName.toLowerCase()}#${target.id}`;
  if (!(ctx.request.body instanceof FormData) || ctx.request.method !== "GET") return;
  for (const [name, value] of [...ctx.request.body]) {
    if (value === "") ctx.request.body.delete(name);
  }
}

/** A form of filters states the whole query: nothing of the address before stays. */
function forget(ctx: HtmxContext) {
  if (ctx.sourceElement.matches("form[method=get]")) {
    ctx.request.action = ctx.request.action.split("?")[0]!;
  }
}

export function startSwaps() {
  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = (event as CustomEvent<{ ctx: HtmxContext }>).detail;
    prepare(ctx);
    forget(ctx);
  });
  document.addEventListener("htmx:before:swap", remember);
  document.addEventListener("htmx:after:swap", (event) => {
    restore();
    const source = (event as CustomEvent<{ ctx?: HtmxContext }>).detail?.ctx?.sourceElement;
    if (!source?.closest?.("[data-live]") || source.matches("form")) announce();
    document.dispatchEvent(new CustomEvent("qc:upgrade"));
  });
  document.addEventListener("htmx:error", () => say("The platform did not answer. Retrying."));
}
