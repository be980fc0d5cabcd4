// The key "/" goes to the search box, unless somebody is writing.
document.addEventListener("keydown", (event) => {
  const box = document.getElementById("beckon-search");
  const writes = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || writes || !box) return;
  event.preventDefault();
  box.focus();
  box.select();
});
