//! `--mount type=image`.

use testkit::{Daemon, images};

#[test]
fn an_image_is_mounted_to_read() {
    let d = Daemon::fresh();
    d.load(&images::variant(
        "toolbox",
        |layer| {
            layer
                .file("tools/one", 0o755, "the tool")
                .symlink("out", "/etc")
                .symlink("up", "../../../../etc")
        },
        &serde_json::json!({}),
    ));
    for cli in d.clis() {
        let mount = "--mount type=image,source=toolbox,target=/i";
        let run = |more: &str, command: &str| format!("run --rm {mount}{more} busybox {command}");
        assert_eq!(cli.ok(&run("", "cat /i/tools/one")), "the tool");
        assert_ne!(cli.code(&run("", "touch /i/no")), 0, "it cannot be written");
        assert_eq!(
            cli.ok(&run(",image-subpath=tools", "cat /i/one")),
            "the tool"
        );
        // Links lead where they lead in the image: its own /etc, never the host's.
        let own = cli.ok(&run("", "cat /i/etc/passwd"));
        for link in ["out", "up"] {
            let seen = cli.ok(&run(&format!(",image-subpath={link}"), "cat /i/passwd"));
            assert_eq!(seen, own, "{link}");
        }
        cli.refused(
            &run(",image-subpath=nope", "true"),
            &["cannot access path \"nope\" in image toolbox"],
        );
        cli.ok(&format!("create --name reader {mount} busybox true"));
        let shown = cli.ok(
            "inspect -f '{{with index .Mounts 0}}{{.Type}} {{.Source}} {{.Destination}} {{.RW}}{{end}}' reader",
        );
        assert_eq!(shown, "image toolbox /i false");
        cli.refused("rmi toolbox", &["toolbox"]);
        // Not even by force: the container could not start again.
        let id = cli.ok("images -q toolbox");
        let words = ["image is being mounted into container", "cannot be forced"];
        cli.refused(&format!("rmi -f {id}"), &words);
        cli.ok("start -a reader");
        assert!(!cli.ok("cp reader:/i/tools/one -").is_empty());
        cli.ok("rm reader");
    }
    d.assert_no_leaks();
}
