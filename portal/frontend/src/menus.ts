import { isTyping, onClick } from "./dom";

// Menus are <details>: they open without a script. The script closes them.
function closeMenus(except: Element | null) {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>("details[data-menu][open]")) {
    if (menu !== except && !menu.contains(except)) menu.open = false;
  }
}

function focusFilter(menu: HTMLDetailsElement) {
  menu.querySelector<HTMLInputElement>("input[data-autofocus]")?.focus();
}

/** Moves between a combobox's field and its options by the arrow keys. */
function moveInMenu(menu: HTMLElement, event: KeyboardEvent) {
  const stops = [...menu.querySelectorAll<HTMLElement>("input[data-autofocus], [data-option]")];
  const at = stops.indexOf(document.activeElement as HTMLElement);
  if (at < 0) return;
  const next = stops[at + (event.key === "ArrowDown" ? 1 : -1)];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

export function startMenus() {
  document.addEventListener("click", (event) => closeMenus(event.target as Element));
  document.addEventListener(
    "toggle",
    (event) => {
      const menu = event.target;
      if (menu instanceof HTMLDetailsElement && menu.matches("[data-menu]") && menu.open) {
        closeMenus(menu);
        focusFilter(menu);
      }
    },
    true,
  );
  document.addEventListener("keydown", (event) => {
    const menu = (event.target as Element).closest?.<HTMLDetailsElement>("details[data-menu][open]");
    if (!menu) return;
    if (event.key === "Escape") {
      menu.open = false;
      menu.querySelector("summary")?.focus();
      event.stopPropagation();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      moveInMenu(menu, event);
    }
  });
  onClick("[data-nav-close]", () => {
    if (!isTyping()) closeMenus(null);
  });
}
