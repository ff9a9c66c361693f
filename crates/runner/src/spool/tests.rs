use proptest::prelude::*;

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

fn texts(batch: &Batch) -> Vec<String> {
    batch
        .payloads
        .iter()
        .map(|payload| String::from_utf8(payload.clone()).unwrap())
        .collect()
}

#[tokio::test]
async fn records_are_read_in_order_with_their_offset() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, mut reader) = create(&dir.path().join("events")).unwrap();
    for text in ["a", "b", "c"] {
        writer.append(text.as_bytes()).await.unwrap();
    }
    let batch = reader.next(2, 100).await.unwrap().unwrap();
    assert_eq!(
        (batch.offset, texts(&batch)),
        (0, vec!["a".to_owned(), "b".to_owned()])
    );
    reader.release(&batch);
    let batch = reader.next(2, 100).await.unwrap().unwrap();
    assert_eq!((batch.offset, texts(&batch)), (2, vec!["c".to_owned()]));
    reader.release(&batch);
    drop(writer);
    assert!(reader.next(2, 100).await.unwrap().is_none());
}

#[tokio::test]
async fn a_full_spool_waits_for_an_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, mut reader) = create_bounded(dir.path(), 100).unwrap();
    for _ in 0..2 {
        writer.append(&[b'x'; 40]).await.unwrap();
    }
    let more = tokio::spawn(async move { writer.append(b"a little more").await });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert!(!more.is_finished());
    let batch = reader.next(1, 1000).await.unwrap().unwrap();
    reader.release(&batch);
    more.await.unwrap().unwrap();
}

#[tokio::test]
async fn nothing_waits_for_a_reader_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, reader) = create_bounded(dir.path(), 10).unwrap();
    drop(reader);
    for _ in 0..10 {
        writer.append(&[b'x'; 100]).await.unwrap();
    }
}

#[tokio::test]
async fn acknowledged_segments_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, mut reader) = create_bounded(dir.path(), 1000).unwrap();
    for _ in 0..200 {
        writer.append(&[b'x'; 100]).await.unwrap();
        let batch = reader.next(10, 1000).await.unwrap().unwrap();
        reader.release(&batch);
    }
    assert!(segment::numbers(dir.path()).unwrap().len() <= 2);
}

#[tokio::test]
async fn what_was_killed_in_the_middle_of_a_record_is_read_up_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _reader) = create(dir.path()).unwrap();
    writer.append(b"whole").await.unwrap();
    let path = segment::path(dir.path(), 0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(&segment::record(b"cut off").unwrap()[..10]);
    std::fs::write(&path, bytes).unwrap();
    let mut left = reopen(dir.path()).unwrap().unwrap();
    assert_eq!(
        texts(&left.next(10, 100).await.unwrap().unwrap()),
        ["whole"]
    );
    assert!(left.next(10, 100).await.unwrap().is_none());
}

#[tokio::test]
async fn a_spool_of_version_1_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let golden = include_bytes!("../../tests/golden/spool-v1.segment");
    std::fs::write(segment::path(dir.path(), 3), golden).unwrap();
    let mut left = reopen(dir.path()).unwrap().unwrap();
    let batch = left.next(10, 100).await.unwrap().unwrap();
    assert_eq!(
        (batch.offset, texts(&batch)),
        (7, vec!["{}".to_owned(), String::new()])
    );
    let written = [
        &segment::header(7)[..],
        &segment::record(b"{}").unwrap(),
        &segment::record(b"").unwrap(),
    ];
    assert_eq!(
        written.concat(),
        golden,
        "the format changed; give it a new version"
    );
}

#[tokio::test]
async fn a_damaged_record_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, mut reader) = create(dir.path()).unwrap();
    writer.append(b"payload").await.unwrap();
    let path = segment::path(dir.path(), 0);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(
        reader.next(1, 100).await,
        Err(SegmentError::Damaged { .. })
    ));
}

proptest! {
    #[test]
    fn a_later_process_reads_what_was_not_released(
        sizes in prop::collection::vec(0usize..300, 1..40),
        released in 0usize..40,
        max in 200u64..2000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let (mut writer, mut reader) = create_bounded(dir.path(), max).unwrap();
            let mut kept = Vec::new();
            for (index, size) in sizes.iter().enumerate() {
                let payload = vec![u8::try_from(index).unwrap(); *size];
                let unread = tokio::time::timeout(
                    std::time::Duration::from_millis(1), writer.append(&payload),
                ).await;
                if unread.is_err() { break; }
                if index < released {
                    let batch = reader.next(1, 1000).await.unwrap().unwrap();
                    reader.release(&batch);
                }
                kept.push(payload);
            }
            drop((writer, reader));
            let mut left = reopen(dir.path()).unwrap().unwrap();
            let mut next = None;
            while let Some(batch) = left.next(3, 500).await.unwrap() {
                let start = usize::try_from(batch.offset).unwrap();
                assert!(next.is_none_or(|next| next == start));
                assert!(next.is_some() || start <= released);
                assert_eq!(&batch.payloads[..], &kept[start..start + batch.payloads.len()]);
                next = Some(start + batch.payloads.len());
            }
            assert_eq!(next.unwrap_or(kept.len()), kept.len());
        });
    }
}
