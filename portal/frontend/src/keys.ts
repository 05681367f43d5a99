import { byId, isTyping, say } from "./dom";
import { peek } from "./overlays";

let pendingGo = 0;

const rows = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>("[data-row]")];

function currentRow(): HTMLElement | undefined {
  return rows().find((row) => row.classList.contains("is-current"));
}

function moveRow(step: number) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.classList.contains("is-current"));
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  all[at]?.classList.remove("is-current");
  next?.classList.add("is-current");
  next?.querySelector<HTMLElement>("a, button")?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function go(letter: string): boolean {
  const link = document.querySelector<HTMLAnchorElement>(`a[data-go="${CSS.escape(letter)}"]`);
  if (!link) return false;
  link.click();
  return true;
}

function showHelp() {
  const help = byId("keys-help");
  if (help instanceof HTMLDialogElement && !help.open) help.showModal();
}

function act(selector: string, root: ParentNode = document) {
  root.querySelector<HTMLElement>(selector)?.click();
}

const actions: Record<string, () => void> = {
  "?": showHelp,
  "/": () => document.querySelector<HTMLInputElement>("input[data-filter]")?.focus(),
  j: () => moveRow(1),
  k: () => moveRow(-1),
  o: () => {
    const link = currentRow()?.querySelector<HTMLAnchorElement>("a[data-peek]");
    if (link) void peek(link);
  },
  Enter: () => act("a[data-open], a[data-peek], a", currentRow()),
  e: () => act("[data-export] > summary"),
  "[": () => act("a[rel=prev]"),
  "]": () => act("a[rel=next]"),
};

function handle(event: KeyboardEvent) {
  const focused = document.activeElement;
  if (event.key === "Enter" && focused instanceof HTMLElement && focused !== document.body) return;
  if (pendingGo) {
    clearTimeout(pendingGo);
    pendingGo = 0;
    if (go(event.key)) event.preventDefault();
    return;
  }
  if (event.key === "g") {
    pendingGo = window.setTimeout(() => (pendingGo = 0), 1500);
    say("Go to: press a letter.");
    return;
  }
  const action = actions[event.key];
  if (action) {
    event.preventDefault();
    action();
  }
}

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "k") {
      const search = byId("search-link");
      if (search) {
        event.preventDefault();
        search.click();
      }
      return;
    }
    // Single letters can be switched off (WCAG 2.1.4); browser keys stay the browser's.
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping()) return;
    if (document.body.dataset.keys === "off" || document.querySelector("dialog:modal")) return;
    handle(event);
  });
}
