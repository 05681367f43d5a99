/** The box in a list's head ticks all rows of the page, and is half when some are ticked. */
const boxes = (form: string) =>
  [...document.querySelectorAll<HTMLInputElement>("input[name=ids]")].filter((box) => box.getAttribute("form") === form);

function follow(all: HTMLInputElement) {
  const rows = boxes(all.dataset.ticksAll!);
  const ticked = rows.filter((box) => box.checked).length;
  all.checked = ticked > 0 && ticked === rows.length;
  all.indeterminate = ticked > 0 && ticked < rows.length;
}

export function startTicks() {
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement)) return;
    if (box.dataset.ticksAll) for (const row of boxes(box.dataset.ticksAll)) row.checked = box.checked;
    else if (box.name !== "ids") return;
    document.querySelectorAll<HTMLInputElement>("input[data-ticks-all]").forEach(follow);
  });
}
