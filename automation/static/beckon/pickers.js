// Select2 draws the box of a picker in a role that needs a name and gives it none: it takes the label's.
"use strict";
{
  const name = () => document.querySelectorAll(".select2-selection__rendered[role=textbox]").forEach((box) => {
    const field = document.getElementById(box.id.slice("select2-".length, -"-container".length));
    const said = field?.getAttribute("aria-label") || field?.labels?.[0]?.textContent;
    if (said) box.setAttribute("aria-label", said.trim().replace(/:$/, ""));
  });
  addEventListener("load", () => django.jQuery(name)); // After Select2, which waits for jQuery, too.
  document.addEventListener("formset:added", name);
}
