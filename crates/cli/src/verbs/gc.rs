//! `system gc`: the daemon's clean-up of images, now; or what it would do.

use types::gc::GcReport;

use super::{Context, lenient::lenient};
use crate::{
    client::Request,
    error::Result,
    flags::{Flag, Matches, switch},
    format::{ago, output, size, time},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[switch("dry-run", "Only show what would be removed")];

/// `system gc`.
pub(crate) async fn gc(context: &Context, m: Matches) -> Result {
    let request = Request::post("/wharf/gc").query_on("dry-run", m.on("dry-run"));
    let report: GcReport = lenient(request.decode(&context.client).await?, "answer")?;
    output::print(&told(&report, time::now()))?;
    for warning in &report.warnings {
        output::complain(&format!("WARNING: {warning}"));
    }
    Ok(())
}

fn told(report: &GcReport, now: i64) -> String {
    let mut text = String::new();
    if report.policy.is_empty() {
        text.push_str("No policy is set: see \"gc\" in the daemon's configuration file.\n");
    } else {
        let by_itself = if report.enabled {
            "the daemon does it by itself"
        } else {
            "not enabled: the daemon does it only when asked"
        };
        text.push_str(&format!("Policy: images {} ({by_itself})\n", report.policy));
    }
    let goes = if report.dry_run {
        "Would remove"
    } else {
        "Removed"
    };
    for image in &report.images {
        let name = match image.names.as_slice() {
            [] => image.id.clone(),
            names => names.join(", "),
        };
        text.push_str(&format!(
            "{goes}: {name} ({}, last used {})\n",
            size::human(image.size),
            ago::since(image.last_used, now)
        ));
    }
    let space = if report.dry_run {
        "Would reclaim"
    } else {
        "Total reclaimed space"
    };
    text.push_str(&format!(
        "{space}: {}\n",
        size::human(report.space_reclaimed)
    ));
    text
}

#[cfg(test)]
mod tests {
    use types::gc::GcImage;

    use super::*;

    #[test]
    fn what_would_go_is_told() {
        let report = GcReport {
            policy: "unused for 60 s".to_owned(),
            dry_run: true,
            images: vec![GcImage {
                names: vec!["a:1".to_owned()],
                size: 1000,
                last_used: 0,
                ..GcImage::default()
            }],
            space_reclaimed: 1000,
            ..GcReport::default()
        };
        let text = told(&report, 7200);
        assert_eq!(
            text,
            "Policy: images unused for 60 s (not enabled: the daemon does it only when asked)\n\
             Would remove: a:1 (1kB, last used 2 hours ago)\nWould reclaim: 1kB\n"
        );
    }
}
