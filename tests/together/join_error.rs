//! Why a goroutine has no result, as a value.

use std::any::Any;
use std::error::Error;
use std::io;
use std::time::Duration;

use gosched::{CancelScope, Cancelled, JoinError, NotStarted, go, scope, time};
use test_support::each_mode;

/// What a function that uses `?` makes of it; it can be sent to another thread.
fn boxed(error: JoinError) -> Box<dyn Error + Send + Sync> {
    error.into()
}

#[test]
fn a_result_is_no_error() {
    each_mode(|rt, _| {
        rt.run(|| {
            assert_eq!(go(|| 5).wait().expect("it returns"), 5);
            let word = String::from("borrowed");
            let length = scope(|s| s.go(|| word.len()).wait().expect("it returns"));
            assert_eq!(length, 8);
        });
    });
}

#[test]
fn a_panic_keeps_its_payload_and_says_what_it_said() {
    each_mode(|rt, _| {
        rt.run(|| {
            let error = go(|| -> u8 { panic!("{} sheets", 0) }).wait().expect_err("it panics");
            assert!(error.is_panic() && !error.is_cancelled() && !error.is_not_started());
            assert_eq!(error.cancelled(), None);
            assert_eq!(format!("{error:?}"), r#"JoinError { panic: "0 sheets" }"#);
            let text = boxed(error).to_string();
            assert_eq!(text, "the goroutine panicked: 0 sheets");
            let error = scope(|s| {
                let panics = s.go(|| std::panic::panic_any(vec![1, 2]));
                panics.wait().expect_err("it panics, and the scope does not")
            });
            assert_eq!(error.to_string(), "the goroutine panicked: (no text)");
            let payload = error.into_panic().downcast::<Vec<i32>>().expect("what was thrown");
            assert_eq!(*payload, [1, 2]);
        });
    });
}

#[test]
fn a_cancel_is_told_with_its_scope() {
    each_mode(|rt, _| {
        rt.run(|| {
            let waits = go(|| time::sleep(Duration::MAX));
            let id = waits.id();
            waits.cancel();
            let error = waits.wait().expect_err("it was cancelled");
            assert!(error.is_cancelled() && !error.is_panic() && !error.is_not_started());
            let cancelled = error.cancelled().expect("by its handle");
            assert_eq!((cancelled.g, cancelled.scope), (id, CancelScope::Goroutine));
            assert_eq!(error.to_string(), cancelled.to_string());
            let error = error.try_into_panic().expect_err("it has not panicked");
            let payload: Box<dyn Any + Send> = error.into();
            assert_eq!(*payload.downcast::<Cancelled>().expect("as `join` gives it"), cancelled);
        });
    });
}

#[test]
fn every_way_to_join_has_it() {
    fn each(way: usize) -> Result<u32, JoinError> {
        let panics = go(|| -> u32 { panic!("way") });
        let minute = Duration::from_secs(60);
        Ok(match way {
            0 => panics.wait()?,
            1 => panics.join()?,
            2 => panics.join_timeout(minute).expect("in time")?,
            _ => gosched::future::block_on(panics)?,
        })
    }
    each_mode(|rt, _| {
        let handle = rt.handle().clone();
        rt.run(|| (0..4).for_each(|way| assert!(each(way).is_err_and(|error| error.is_panic()))));
        assert!(handle.go(|| panic!("on a plain thread")).wait().is_err_and(|e| e.is_panic()));
    });
}

#[test]
fn what_did_not_start_says_why() {
    let payload: Box<dyn Any + Send> = Box::new(NotStarted(io::ErrorKind::OutOfMemory.into()));
    let error = JoinError::from(payload);
    assert!(error.is_not_started() && !error.is_panic() && !error.is_cancelled());
    assert_eq!(error.to_string(), "the goroutine could not be started");
    let source = error.source().expect("what the system said");
    let source = source.downcast_ref::<io::Error>().expect("an error of the system");
    assert_eq!(source.kind(), io::ErrorKind::OutOfMemory);
}
