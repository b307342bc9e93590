//! Progress on the standard error, where a person looks at it: not in a pipe, and not with `NO_COLOR`.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of `done` of `all` things.
pub(crate) fn bar(what: &str, done: u64, all: u64) -> ProgressBar {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let target = if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(all), target);
    let template =
        format!("{what} {{wide_bar}} {{human_pos}} of {{human_len}}, {{per_sec}}, {{eta}} to go {{msg}}");
    // The template is ours; were it refused, the bar would look otherwise.
    bar.set_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_position(done);
    bar.reset_eta();
    bar
}
