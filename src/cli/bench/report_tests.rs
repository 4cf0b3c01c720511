use std::time::Duration;

use super::super::load::{Op, Tally, Until};
use super::super::machine::Others;
use super::super::target::Protocol;
use super::*;

fn plan() -> Plan {
    Plan {
        protocol: Protocol::Mooncake,
        op: Op::Put,
        batch: 128,
        connections: 2,
        keys: 0,
        rate: None,
        key_len: 60,
        value_bytes: 4096,
        until: Until::Keys(1000),
        shared: false,
        run: 1,
    }
}

fn side(name: &str, load_ms: u64, others: Option<f64>) -> Closed {
    let round = Round {
        keys: 1_000_000,
        load: Duration::from_millis(load_ms),
        drain: None,
        server_cpu: Some(1.0),
        standby_cpu: None,
        generator_cpu: Some(0.5),
        others: Others { cores: others, processes: vec![("rustc".to_owned(), 5, 0.5)] },
        batch_us: vec![1000; 10],
    };
    Closed {
        target: format!("127.0.0.1:1,name={name}").parse().expect("valid"),
        standbys: None,
        ack: None,
        pid: Some(1),
        rss_bytes_per_key: Some(100.0),
        rounds: vec![round],
        tally: Tally::default(),
        faults: Vec::new(),
    }
}

#[test]
fn a_quiet_machine_gives_a_ratio() {
    let (plan, sides) = (plan(), [side("ours", 500, Some(0.01)), side("stock", 1000, Some(0.02))]);
    let report = Report::new(&plan, &sides, false);
    let line = report.line();
    assert_eq!((report.verdict, report.exit()), (Verdict::Ok, Exit::Ok));
    assert_eq!(
        (&line["ratios"][0]["against"], line["ratios"][0]["keys_per_s"].as_f64()),
        (&"stock".into(), Some(2.0))
    );
    assert_eq!(line["targets"][0]["standby_cpu_us_per_key"], Value::Null, "unknown is not 0");
    assert_eq!(line["machine"]["others_cores"].as_f64(), Some(0.02));
}

#[test]
fn a_busy_machine_gives_none_unless_that_is_accepted() {
    let (plan, sides) =
        (plan(), [side("ours", 500, Some(machine::cores() as f64 / 2.0)), side("stock", 1000, Some(0.0))]);
    let refused = Report::new(&plan, &sides, false);
    assert_eq!((refused.verdict, refused.exit()), (Verdict::Refused, Exit::Bad));
    assert_eq!(refused.line()["ratios"], json!([]));
    let text = refused.table().join("\n");
    assert!(
        text.contains("rustc 0.50") && text.contains("--allow-busy") && text.contains("verdict refused"),
        "{text}"
    );
    let accepted = Report::new(&plan, &sides, true);
    assert_eq!((accepted.verdict, &accepted.line()["machine"]["busy"]), (Verdict::Ok, &true.into()));
    assert!(accepted.table().join("\n").contains("verdict ok, although the machine was busy"));
}

#[test]
fn not_to_know_is_not_to_be_quiet() {
    let plan = plan();
    let unknown = [Closed { pid: None, ..side("ours", 500, Some(0.0)) }];
    let report = Report::new(&plan, &unknown, false);
    assert_eq!((report.verdict, &report.line()["machine"]["others_cores"]), (Verdict::Refused, &Value::Null));
    assert_eq!(Report::new(&plan, &[side("ours", 500, None)], false).verdict, Verdict::Refused);
}

#[test]
fn a_wrong_answer_or_a_lost_connection_is_bad_on_any_machine() {
    let plan = plan();
    let tally = Tally { wrong: 1, complaints: vec!["exist k: it does not".to_owned()], ..Tally::default() };
    let wrong = [Closed { tally, ..side("ours", 500, Some(0.0)) }];
    let lost = [Closed { faults: vec!["a connection was lost".to_owned()], ..side("ours", 500, None) }];
    let mut none = [side("ours", 500, Some(0.0))];
    none[0].rounds[0].keys = 0;
    for sides in [&wrong, &lost, &none] {
        let report = Report::new(&plan, sides, true);
        assert_eq!((report.verdict, report.exit(), report.reasons.len()), (Verdict::Bad, Exit::Bad, 1));
    }
}

#[test]
fn the_table_fits_a_terminal() {
    let plan = plan();
    let mut sides =
        [side("a name that is far too long to be shown", 500, Some(0.0)), side("b", 1000, Some(0.0))];
    sides[0].standbys = Some(2);
    sides[0].ack = Some("sync");
    sides[1].rss_bytes_per_key = None;
    let table = Report::new(&plan, &sides, false).table();
    assert!(table.iter().all(|line| line.chars().count() <= 80), "{table:#?}");
    assert!(table.join("\n").contains("counted at 2 standby(s)"), "{table:#?}");
}
