//! Event streams and pages (API 5), logs and metrics.

use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::json;

use crate::harness::{Answer, Harness};

#[tokio::test]
async fn a_finished_run_is_replayed_whole_and_from_any_point() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    assert_eq!(
        harness.append(&run, 0, &["a", "b"]).await.json()["next_offset"],
        2
    );
    assert_eq!(
        harness.append(&run, 0, &["a", "b", "c"]).await.json()["next_offset"],
        3
    );
    harness.complete(&run).await;
    let stream = harness.get(&format!("/v1/runs/{run}/events")).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    let output = |n: u64, text: &str| {
        format!(
            "id: {n}\nevent: output\ndata: {{\"sequence\":{n},\"type\":\"output\",\"data\":{{\"type\":\"output\",\"text\":\"{text}\",\"sequenceNumber\":{n}}},\"timestamp\":\"2026-01-15T10:30:00.000Z\"}}\n\n"
        )
    };
    let status =
        format!("event: status\ndata: {{\"status\":\"completed\",\"run_id\":\"{run}\"}}\n\n");
    let complete =
        "event: complete\ndata: {\"status\":\"completed\",\"output\":\"done\",\"error\":null}\n\n";
    let all = [output(1, "a"), output(2, "b"), output(3, "c")].concat();
    assert_eq!(stream.text, format!("{status}{all}{complete}"));
    for (query, header, first) in [
        ("?last_event_id=evt_2", None, 3),
        ("", Some("2"), 3),
        ("?last_event_id=x", Some("2"), 1),
    ] {
        let mut request = harness.request(
            reqwest::Method::GET,
            &format!("/v1/runs/{run}/events{query}"),
        );
        if let Some(id) = header {
            request = request.header("Last-Event-ID", id);
        }
        let text = Answer::read(request.send().await.unwrap()).await.text;
        assert!(
            text.starts_with(&format!("{status}id: {first}\n")),
            "{text}"
        );
    }
    let page = |query: &str| {
        let request = harness.request(
            reqwest::Method::GET,
            &format!("/v1/runs/{run}/events{query}"),
        );
        let request = request.header("Accept", "application/json");
        async move { Answer::read(request.send().await.unwrap()).await.json() }
    };
    let first = page("?limit=2").await;
    assert_eq!(first["data"][1]["sequence"], 2);
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
    let second = page(&format!("?cursor={cursor}&last_event_id=0")).await;
    assert_eq!(second["data"].as_array().unwrap().len(), 1);
    assert_eq!(second["data"][0]["data"]["sequenceNumber"], 3);
}

#[tokio::test]
async fn a_live_stream_is_woken_by_each_event_and_change_of_state() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    let request = harness.request(reqwest::Method::GET, &format!("/v1/runs/{run}/events"));
    let mut stream = request.send().await.unwrap().bytes_stream();
    let mut seen = String::new();
    let mut until = async |seen: &mut String, text: &str| {
        let began = Instant::now();
        while !seen.contains(text) {
            let part = tokio::time::timeout(Duration::from_secs(5), stream.next()).await;
            match part.expect("nothing came") {
                Some(part) => seen.push_str(std::str::from_utf8(&part.unwrap()).unwrap()),
                None => panic!("the stream ended after {seen}"),
            }
        }
        began.elapsed()
    };
    until(&mut seen, "\"pending\"").await;
    harness.claim().await;
    until(&mut seen, "\"running\"").await;
    for n in 0..3 {
        harness.append(&run, n, &["x"]).await;
        let waited = until(&mut seen, &format!("id: {}\n", n + 1)).await;
        assert!(waited < Duration::from_secs(1), "{waited:?}");
    }
    harness.complete(&run).await;
    until(&mut seen, "event: complete").await;
    let kinds: Vec<_> = seen
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(
        kinds,
        [
            "status", "status", "output", "output", "output", "status", "complete"
        ]
    );
}

#[tokio::test]
async fn watchers_from_any_start_see_each_later_event_of_a_busy_run_once() {
    const BATCHES: u64 = 60;
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    let watch = async |start: u64| {
        let path = format!("/v1/runs/{run}/events?last_event_id={start}");
        let answer = harness.request(reqwest::Method::GET, &path).send().await;
        let text = answer.unwrap().text().await.unwrap();
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
        let seen: Vec<u64> = ids.map(|id| id.parse().unwrap()).collect();
        assert_eq!(seen, (start + 1..=5 * BATCHES).collect::<Vec<_>>());
        assert!(text.contains("event: complete"));
    };
    let emit = async {
        for batch in 0..BATCHES {
            // Together more than is kept of a run in memory.
            let text = "x".repeat(4_000);
            harness.append(&run, 5 * batch, &[text.as_str(); 5]).await;
        }
        harness.complete(&run).await;
    };
    let late = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        watch(0).await;
    };
    tokio::join!(watch(0), watch(3), watch(250), late, watch(0), emit);
}

#[tokio::test]
async fn logs_hold_system_lines_and_events_and_are_filtered() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    harness.append(&run, 0, &["a"]).await;
    let line = |ms: u32, level: &str| {
        json!({
            "timestamp": format!("2026-01-15T10:29:00.{ms:03}Z"), "type": "system", "level": level, "message": "m",
        })
    };
    let body = json!({ "epoch": 1, "offset": 0, "entries": [line(1, "info"), line(2, "warn")] });
    assert_eq!(
        harness
            .runner(&format!("/runs/{run}/logs"), body)
            .await
            .json()["next_offset"],
        2
    );
    let logs = async |query: &str| {
        harness
            .get(&format!("/v1/runs/{run}/logs{query}"))
            .await
            .json()
    };
    let all = logs("").await;
    assert_eq!(all["data"].as_array().unwrap().len(), 3);
    assert_eq!(
        all["data"][2]["message"],
        "[output] {\"type\":\"output\",\"text\":\"a\",\"sequenceNumber\":1}"
    );
    assert_eq!(all["data"][2]["metadata"]["eventType"], "output");
    assert_eq!(
        logs("?type=system&level=warn").await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let page = logs("?order=desc&limit=1").await;
    assert_eq!(page["data"][0]["type"], "agent");
    let cursor = page["pagination"]["next_cursor"].as_str().unwrap();
    assert_eq!(
        logs(&format!("?order=desc&limit=1&cursor={cursor}")).await["data"][0]["level"],
        "warn"
    );
    assert_eq!(
        logs("?cursor=2026-01-15T10:29:00.001Z").await["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    for (query, param) in [
        ("type=x", "type"),
        ("level=INFO", "level"),
        ("order=up", "order"),
        ("since=x", "since"),
    ] {
        harness
            .get(&format!("/v1/runs/{run}/logs?{query}"))
            .await
            .error(400, "invalid_parameter", Some(param));
    }
    let metrics = harness.get(&format!("/v1/runs/{run}/metrics")).await.json();
    assert_eq!(
        (&metrics["data"], &metrics["summary"]["total_duration_ms"]),
        (&json!([]), &json!(null))
    );
}

#[tokio::test]
async fn a_walk_through_logs_of_one_instant_shows_each_entry_once_in_order_of_arrival() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    let line = |n: u32, kind: &str| {
        json!({
            "timestamp": "2026-01-15T10:30:00.000Z", "type": kind, "level": "info",
            "message": format!("{n}"), "metadata": (kind == "network").then_some("{}"),
        })
    };
    let log = async |offset: u32, entries: serde_json::Value| {
        let body = json!({ "epoch": 1, "offset": offset, "entries": entries });
        let answer = harness.runner(&format!("/runs/{run}/logs"), body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    log(0, json!([line(1, "system"), line(2, "network")])).await;
    harness.append(&run, 0, &["a", "b"]).await;
    log(2, json!([line(3, "network"), line(4, "system")])).await;
    let expected = ["1", "2", "a", "b", "3", "4"];
    let shown = |entry: &serde_json::Value| {
        let text = &entry["metadata"]["eventData"]["text"];
        text.as_str()
            .or(entry["message"].as_str())
            .unwrap()
            .to_owned()
    };
    for limit in 1..=6 {
        for (order, reversed) in [("asc", false), ("desc", true)] {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let query = format!("order={order}&limit={limit}&cursor={cursor}");
                let page = harness.get(&format!("/v1/runs/{run}/logs?{query}")).await;
                let page = page.json();
                seen.extend(page["data"].as_array().unwrap().iter().map(shown));
                match page["pagination"]["next_cursor"].as_str() {
                    Some(next) => cursor = next.to_owned(),
                    None => break,
                }
            }
            if reversed {
                seen.reverse();
            }
            assert_eq!(seen, expected, "{order} {limit}");
        }
    }
    for (query, count) in [
        ("cursor=2026-01-15T10:30:00Z", 0),
        ("cursor=2026-01-15T10:29:59.999Z", 6),
        ("order=desc&cursor=2026-01-15T10:30:00Z", 0),
        ("order=desc&cursor=2026-01-15T10:30:00.001Z", 6),
        ("since=2026-01-15T10:30:00Z&until=2026-01-15T10:30:00Z", 6),
        ("since=2026-01-15T10:30:00.001Z", 0),
        ("type=network", 2),
        ("type=agent&level=warn", 0),
    ] {
        let page = harness.get(&format!("/v1/runs/{run}/logs?{query}")).await;
        let page = page.json();
        assert_eq!(page["data"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn metrics_have_every_sample_and_both_sets_of_summary_names() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    let sample = |seconds: u32, cpu: f64, memory: u64| {
        json!({
            "timestamp": format!("2026-01-15T10:30:{seconds:02}.000Z"), "cpu_percent": cpu,
            "memory_used_bytes": memory, "memory_total_bytes": 2_147_483_648_u64,
            "disk_used_bytes": 1_048_576, "disk_total_bytes": 10_485_760,
            "network_rx_bytes": 10 * seconds, "network_tx_bytes": seconds,
        })
    };
    let samples = json!([sample(0, 10.0, 1 << 20), sample(5, 20.02, 3 << 19)]);
    let body = json!({ "epoch": 1, "offset": 0, "samples": samples });
    let answer = harness.runner(&format!("/runs/{run}/metrics"), body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let metrics = harness
        .get(&format!("/v1/runs/{run}/metrics?limit=x&cursor=x"))
        .await
        .json();
    let expected = json!({
        "data": [
            {
                "timestamp": "2026-01-15T10:30:00.000Z", "cpu_percent": 10.0,
                "memory_used_mb": 1.0, "memory_total_mb": 2048.0, "disk_used_mb": 1.0,
                "disk_total_mb": 10.0, "memory_bytes": 1_048_576, "network_rx_bytes": 0,
                "network_tx_bytes": 0,
            },
            {
                "timestamp": "2026-01-15T10:30:05.000Z", "cpu_percent": 20.02,
                "memory_used_mb": 1.5, "memory_total_mb": 2048.0, "disk_used_mb": 1.0,
                "disk_total_mb": 10.0, "memory_bytes": 1_572_864, "network_rx_bytes": 50,
                "network_tx_bytes": 5,
            },
        ],
        "summary": {
            "avg_cpu_percent": 15.01, "cpu_avg_percent": 15.01, "max_memory_used_mb": 1.5,
            "memory_max_bytes": 1_572_864, "network_rx_bytes": 50, "network_tx_bytes": 5,
            "total_duration_ms": 5000,
        },
        "pagination": { "has_more": false, "next_cursor": null },
    });
    assert_eq!(metrics, expected);
}
