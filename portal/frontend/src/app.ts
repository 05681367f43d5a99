// The portal works by plain GET and POST; this script makes it faster. Order matters:
// hx-csp must be registered before htmx first looks at the page.
import "htmx.org/dist/htmx.esm.js";
import "htmx.org/dist/ext/hx-csp.js";
import { startConfirm } from "./confirm";
import { startCopy } from "./copy";
import { startCountdown } from "./countdown";
import { startKeys } from "./keys";
import { startLive } from "./live";
import { startMenus } from "./menus";
import { startOverlays } from "./overlays";
import { startSwaps } from "./swaps";
import { startTicks } from "./ticks";

startMenus();
startOverlays();
startCopy();
startConfirm();
startKeys();
startSwaps();
startLive();
startCountdown();
startTicks();
