// A form_post answer goes on by itself; without scripts its button does.
document.querySelector("form[data-submit]").submit();
