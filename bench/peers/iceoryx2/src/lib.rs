// SPDX-License-Identifier: MIT
//! iceoryx2 as a channel of the benchmark, behind C functions (bench/channel.h says what each does).
//!
//! A payload is a slice of bytes: loaned, copied into, sent; received, copied out of, dropped. What sleeps has an event service beside the
//! publish-subscribe one, as iceoryx2 itself advises: the sender notifies after each payload, the receiver waits for that.

use core::ffi::{c_char, c_int, c_void, CStr};
use core::time::Duration;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;

const EIO: c_int = -5;
const EAGAIN: c_int = -11;
const SLEEP: c_int = 0;
const TRY: c_int = 2;

/// struct channel_place
#[repr(C)]
pub struct Place {
    directory: *const c_char,
    kind: *const c_char,
    name: *const c_char,
    bytes: u64,
    slots: u32,
    lossy: i32,
    wakes: i32,
}

type Service = ipc::Service;

struct Sender {
    publisher: Publisher<Service, [u8], ()>,
    notifier: Option<Notifier<Service>>,
}

struct Receiver {
    subscriber: Subscriber<Service, [u8], ()>,
    listener: Option<Listener<Service>>,
}

/// The ends go before the node they belong to.
struct End {
    sender: Option<Sender>,
    receiver: Option<Receiver>,
    bytes: usize,
    _node: Node<Service>,
}

type Failure = Box<dyn core::error::Error>;

/// # Safety
/// The strings end with a zero.
unsafe fn name_of(place: &Place, what: &str) -> Result<ServiceName, Failure> {
    let (directory, name) = unsafe { (CStr::from_ptr(place.directory).to_str()?, CStr::from_ptr(place.name).to_str()?) };
    Ok(format!("{directory}/{name}/{}/{}/{}/{what}", place.bytes, place.slots, place.lossy).as_str().try_into()?)
}

/// # Safety
/// As name_of().
unsafe fn open(place: &Place, receives: bool) -> Result<End, Failure> {
    let node = NodeBuilder::new().signal_handling_mode(SignalHandlingMode::Disabled).create::<Service>()?;
    let payloads = node
        .service_builder(&unsafe { name_of(place, "payloads") }?)
        .publish_subscribe::<[u8]>()
        .payload_alignment(Alignment::new(64).ok_or("alignment")?)
        .enable_safe_overflow(place.lossy != 0)
        .subscriber_max_buffer_size(place.slots as usize)
        .max_publishers(1)
        .max_subscribers(1)
        .open_or_create()?;
    let events = if place.wakes != 0 {
        Some(node.service_builder(&unsafe { name_of(place, "events") }?).event().open_or_create()?)
    } else {
        None
    };
    let mut end = End { sender: None, receiver: None, bytes: place.bytes as usize, _node: node };
    if receives {
        end.receiver = Some(Receiver {
            subscriber: payloads.subscriber_builder().create()?,
            listener: match &events {
                Some(events) => Some(events.listener_builder().create()?),
                None => None,
            },
        });
    } else {
        end.sender = Some(Sender {
            publisher: payloads
                .publisher_builder()
                .initial_max_slice_len(place.bytes as usize)
                .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
                .create()?,
            notifier: match &events {
                Some(events) => Some(events.notifier_builder().create()?),
                None => None,
            },
        });
    }
    Ok(end)
}

/// # Safety
/// `out` and `place` are valid.
unsafe fn give(out: *mut *mut c_void, place: *const Place, receives: bool) -> c_int {
    set_log_level(LogLevel::Fatal);
    match unsafe { open(&*place, receives) } {
        Ok(end) => {
            unsafe { *out = Box::into_raw(Box::new(end)).cast() };
            0
        }
        Err(failure) => {
            eprintln!("iceoryx2: {failure}");
            EIO
        }
    }
}

/// # Safety
/// `out` and `place` are valid.
#[no_mangle]
pub unsafe extern "C" fn bench_iceoryx2_receiver_open(out: *mut *mut c_void, place: *const Place) -> c_int {
    unsafe { give(out, place, true) }
}

/// # Safety
/// `out` and `place` are valid.
#[no_mangle]
pub unsafe extern "C" fn bench_iceoryx2_sender_open(out: *mut *mut c_void, place: *const Place) -> c_int {
    unsafe { give(out, place, false) }
}

fn send(end: &End, payload: Option<&[u8]>) -> Option<()> {
    let sender = end.sender.as_ref()?;
    let loan = sender.publisher.loan_slice_uninit(end.bytes).ok()?;
    let sample = match payload {
        Some(payload) => loan.write_from_slice(payload),
        // What lies there was written before, or is zero: nobody looks at it.
        None => unsafe { loan.assume_init() },
    };
    sample.send().ok()?;
    if let Some(notifier) = &sender.notifier {
        notifier.notify().ok()?;
    }
    Some(())
}

fn receive(end: &End, how: c_int, take: impl FnOnce(&[u8])) -> c_int {
    let Some(receiver) = end.receiver.as_ref() else { return EIO };
    loop {
        match receiver.subscriber.receive() {
            Ok(Some(sample)) => {
                take(sample.payload());
                return 0;
            }
            Ok(None) if how == TRY => return EAGAIN,
            Ok(None) => (),
            Err(_) => return EIO,
        }
        if let (SLEEP, Some(listener)) = (how, &receiver.listener) {
            if listener.timed_wait(|_| (), Duration::from_secs(1)).is_err() {
                return EIO;
            }
        }
    }
}

/// # Safety
/// `end` is a sender, `payload` as long as it was opened for.
#[no_mangle]
pub unsafe extern "C" fn bench_iceoryx2_send(end: *mut c_void, payload: *const c_void) -> c_int {
    let end = unsafe { &*end.cast::<End>() };
    match send(end, Some(unsafe { core::slice::from_raw_parts(payload.cast(), end.bytes) })) {
        Some(()) => 0,
        None => EIO,
    }
}

/// # Safety
/// `end` is a receiver, `payload` as long as it was opened for.
#[no_mangle]
pub unsafe extern "C" fn bench_iceoryx2_receive(end: *mut c_void, payload: *mut c_void, how: c_int) -> c_int {
    let end = unsafe { &*end.cast::<End>() };
    let room = unsafe { core::slice::from_raw_parts_mut(payload.cast::<u8>(), end.bytes) };
    receive(end, how, |bytes| room.copy_from_slice(bytes))
}

/// # Safety
/// `sender` and `receiver` are what they say.
#[no_mangle]
pub unsafe extern "C" fn bench_iceoryx2_hand_over(sender: *mut c_void, receiver: *mut c_void) -> c_int {
    match send(unsafe { &*sender.cast::<End>() }, None) {
        Some(()) => receive(unsafe { &*receiver.cast::<End>() }, 1, |_| ()),
        None => EIO,
    }
}

/// # Safety
/// `end` was opened, and is not used again.
#[no_mangle]
pub unsafe extern "C" fn bench_iceoryx2_close(end: *mut c_void) {
    drop(unsafe { Box::from_raw(end.cast::<End>()) });
}
