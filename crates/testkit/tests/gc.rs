//! The automatic clean-up of images.

use testkit::{Daemon, Opts, images};

fn with(policy: &str) -> Daemon {
    let d = Daemon::with(Opts {
        config: Some(format!("{{\"gc\": {{\"images\": {policy}}}}}")),
        ..Opts::default()
    });
    for name in ["used", "unused"] {
        d.load(&images::variant(
            name,
            |layer| layer.file(name, 0o644, vec![7; 1 << 20]),
            &serde_json::json!({}),
        ));
    }
    // One that does not run has it all the same.
    d.docker().ok("create --name holder used true");
    d.docker().ok("create --name other busybox true");
    d.docker().ok("volume create kept");
    d
}

#[test]
fn unused_images_go_as_the_policy_says() {
    let d = with(r#"{"keepStorage": "1"}"#);
    let cli = d.wharf();
    let plan = cli.ok("system gc --dry-run");
    assert!(plan.contains("Would remove: unused:latest"), "{plan}");
    assert!(
        plan.contains("not enabled") && !plan.contains(" used:"),
        "{plan}"
    );
    assert!(cli.ok("images -q unused").len() > 3, "nothing is gone");
    let gone = cli.ok("system gc");
    assert!(gone.contains("Removed: unused:latest"), "{gone}");
    assert_eq!(cli.ok("images -q unused"), "");
    assert!(!cli.ok("images -q used").is_empty() && !cli.ok("images -q busybox").is_empty());
    assert_eq!(cli.ok("volume ls -q"), "kept");
    cli.ok("rm holder other");
}

#[test]
fn young_ones_stay_and_without_a_policy_all_do() {
    let d = with(r#"{"unusedFor": "1h"}"#);
    let plan = d.wharf().ok("system gc");
    assert!(plan.ends_with("Total reclaimed space: 0B"), "{plan}");
    d.docker().ok("rm holder other");
    let d = Daemon::fresh();
    let plan = d.wharf().ok("system gc");
    assert!(plan.contains("No policy is set"), "{plan}");
    assert!(!d.docker().ok("images -q busybox").is_empty());
}
