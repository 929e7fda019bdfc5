//! The door to the system's bcg729, which has G.729 (annexes A and B): opened by name when it is first asked for.
//!
//! ```text
//! dlopen("libbcg729.so.0") ─► its functions, once a process ─► a channel for each stream and direction
//! ```
//!
//! It is never bundled nor linked: it is under the GPL, and most calls need none. So this is the second file with
//! `unsafe`, and does nothing but open that library and call it.
#![allow(unsafe_code)]

use std::ffi::{c_void, CStr};
use std::ptr::{null, NonNull};
use std::sync::OnceLock;

/// Samples in a frame, bytes of one that sounds, and of one that describes silence.
pub const FRAME: usize = 80;
pub const SOUND: usize = 10;
pub const SILENCE: usize = 2;

const NAME: &CStr = c"libbcg729.so.0";

type Open = unsafe extern "C" fn() -> *mut c_void;
type OpenEncoder = unsafe extern "C" fn(vad: u8) -> *mut c_void;
type Close = unsafe extern "C" fn(*mut c_void);
type Decode = unsafe extern "C" fn(*mut c_void, *const u8, u8, erased: u8, silence: u8, rfc3389: u8, *mut i16);
type Encode = unsafe extern "C" fn(*mut c_void, *const i16, *mut u8, *mut u8);

/// What we call of it.
struct Library {
    open_decoder: Open,
    close_decoder: Close,
    decode: Decode,
    open_encoder: OpenEncoder,
    close_encoder: Close,
    encode: Encode,
}

/// Whether the library is there.
#[must_use]
pub fn is_there() -> bool {
    library().is_some()
}

fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    LIBRARY.get_or_init(Library::open).as_ref()
}

impl Library {
    fn open() -> Option<Self> {
        // SAFETY: a name that ends in zero; what runs when the library is loaded is the system's own. It is never
        // closed, so that its functions stay where they are.
        let handle = NonNull::new(unsafe { libc::dlopen(NAME.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) })?;
        let symbol = |name: &CStr| {
            // SAFETY: a handle that is open, and a name that ends in zero.
            NonNull::new(unsafe { libc::dlsym(handle.as_ptr(), name.as_ptr()) }).map(NonNull::as_ptr)
        };
        // Versions without annex B have fewer parameters under the same names; they lack this one.
        symbol(c"bcg729GetRFC3389Payload")?;
        // SAFETY: these are functions of these types: include/bcg729/decoder.h and encoder.h of every release that has
        // the symbol above.
        unsafe {
            Some(Self {
                open_decoder: std::mem::transmute::<*mut c_void, Open>(symbol(c"initBcg729DecoderChannel")?),
                close_decoder: std::mem::transmute::<*mut c_void, Close>(symbol(c"closeBcg729DecoderChannel")?),
                decode: std::mem::transmute::<*mut c_void, Decode>(symbol(c"bcg729Decoder")?),
                open_encoder: std::mem::transmute::<*mut c_void, OpenEncoder>(symbol(c"initBcg729EncoderChannel")?),
                close_encoder: std::mem::transmute::<*mut c_void, Close>(symbol(c"closeBcg729EncoderChannel")?),
                encode: std::mem::transmute::<*mut c_void, Encode>(symbol(c"bcg729Encoder")?),
            })
        }
    }
}

/// What a decoder is to make a frame of.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    Sound(&'a [u8; SOUND]),
    /// A description of the silence that begins here (annex B).
    Silence(&'a [u8; SILENCE]),
    /// One that did not come: its guess, or more of the silence.
    Missing,
}

/// The decoder of one stream.
pub struct Decoder(&'static Library, NonNull<c_void>);

impl Decoder {
    /// None where the library is not there, or no memory.
    #[must_use]
    pub fn new() -> Option<Self> {
        let library = library()?;
        // SAFETY: it takes nothing, and gives a channel that is ours alone, or null.
        NonNull::new(unsafe { (library.open_decoder)() }).map(|channel| Self(library, channel))
    }

    /// Decode a frame.
    pub fn decode(&mut self, frame: Frame<'_>, pcm: &mut [i16; FRAME]) {
        let (bits, length, erased, silence) = match frame {
            Frame::Sound(bits) => (bits.as_ptr(), SOUND, 0, 0),
            Frame::Silence(bits) => (bits.as_ptr(), SILENCE, 0, 1),
            Frame::Missing => (null(), 0, 1, 0),
        };
        let length = u8::try_from(length).unwrap_or(0);
        // SAFETY: the channel is open and nobody else's; the bits are as many as the flag makes it read (it takes null
        // for what is missing); it writes one frame, for which there is room.
        unsafe { (self.0.decode)(self.1.as_ptr(), bits, length, erased, silence, 0, pcm.as_mut_ptr()) };
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the channel came from the function that belongs to this one, and is not used again.
        unsafe { (self.0.close_decoder)(self.1.as_ptr()) };
    }
}

/// The encoder of one stream: every frame sounds (annex B is never agreed to).
pub struct Encoder(&'static Library, NonNull<c_void>);

impl Encoder {
    /// None where the library is not there, or no memory.
    #[must_use]
    pub fn new() -> Option<Self> {
        let library = library()?;
        // SAFETY: it takes a flag, and gives a channel that is ours alone, or null.
        NonNull::new(unsafe { (library.open_encoder)(0) }).map(|channel| Self(library, channel))
    }

    /// Encode a frame.
    pub fn encode(&mut self, pcm: &[i16; FRAME]) -> [u8; SOUND] {
        let (mut bits, mut length) = ([0; SOUND], 0);
        // SAFETY: the channel is open and nobody else's; it reads one frame, and writes at most ten bytes and how many.
        unsafe { (self.0.encode)(self.1.as_ptr(), pcm.as_ptr(), bits.as_mut_ptr(), &raw mut length) };
        bits
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the channel came from the function that belongs to this one, and is not used again.
        unsafe { (self.0.close_encoder)(self.1.as_ptr()) };
    }
}

// SAFETY: a channel is memory of its own, bound to no thread; the library shares nothing but constants.
unsafe impl Send for Decoder {}
// SAFETY: as above.
unsafe impl Send for Encoder {}
// SAFETY: nothing can be done with a channel that is only borrowed.
unsafe impl Sync for Decoder {}
// SAFETY: as above.
unsafe impl Sync for Encoder {}
