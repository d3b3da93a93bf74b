//! From a bundle to an exit code.

use serde_json::json;

use crate::support::Bundle;

#[test]
fn true_in_all_namespaces() {
    let bundle = Bundle::new(&["true"]);
    let ended = bundle.run().unwrap();
    assert_eq!((ended.code, ended.output.as_str()), (0, ""));
}

#[test]
fn what_it_sees_is_its_own() {
    let bundle = Bundle::new(&["sh", "-c", "echo $$; hostname; pwd; echo $HOME; exit 7"]);
    let ended = bundle.run().unwrap();
    assert_eq!(ended.code, 7, "{ended:?}");
    assert_eq!(ended.output, "1\ninside\n/\n/\n");
}

#[test]
fn what_cannot_be_run_in_runcs_words() {
    for (program, why) in [
        ("nope", "exec: \"nope\": executable file not found in $PATH"),
        (
            "/nope",
            "exec: \"/nope\": stat /nope: no such file or directory",
        ),
        ("/etc", "exec: \"/etc\": is a directory"),
    ] {
        let error = Bundle::new(&[program]).run().unwrap_err().to_string();
        assert_eq!(error, format!("unable to start container process: {why}"));
    }
}

#[test]
fn a_user_has_what_config_json_gives() {
    let mut bundle = Bundle::new(&[
        "grep",
        "-E",
        "^(Uid|Gid|Groups|Cap|NoNew|Seccomp:)",
        "/proc/self/status",
    ]);
    bundle.process()["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [7, 8]});
    let ended = bundle.run().unwrap();
    assert_eq!(ended.code, 0);
    assert_eq!(
        ended.output,
        "Uid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001\nGroups:\t7 8 \n\
         CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
         CapBnd:\t00000000000000e1\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t0\n"
    );
}
