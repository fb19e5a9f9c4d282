// Threads, channels, panics that unwind or end the program, files, and a stack overflow, which the runtime detects in its SIGSEGV handler.
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{mpsc, Arc, Condvar, Mutex, RwLock};
use std::time::Duration;
use std::{fs, panic, thread};

struct Noisy(&'static str);

impl Drop for Noisy {
    fn drop(&mut self) {
        println!("drop {}", self.0);
    }
}

#[inline(never)]
fn opaque(n: usize) -> usize {
    std::env::args().count() - 1 + n
}

#[allow(unconditional_recursion)]
fn recurse(n: usize) -> usize {
    let room = [n; 64];
    // Read behind the call, or it might become a loop.
    recurse(n + 1) + unsafe { std::ptr::read_volatile(&room[n % 64]) }
}

fn main() {
    let (sender, receiver) = mpsc::sync_channel(2);
    for i in 0..4i64 {
        let sender = sender.clone();
        thread::spawn(move || (0..100).for_each(|k| sender.send(i * k).unwrap()));
    }
    drop(sender);
    println!("{}", receiver.iter().sum::<i64>());

    let counts = Arc::new(Mutex::new(HashMap::new()));
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let counts = counts.clone();
            thread::spawn(move || (0..300).for_each(|k| *counts.lock().unwrap().entry(k % 97).or_insert(0) += i))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{}", counts.lock().unwrap().values().sum::<i32>());
    let shared = Arc::new(RwLock::new(0));
    let readers: Vec<_> = (0..4)
        .map(|i| {
            let shared = shared.clone();
            thread::spawn(move || (0..100).for_each(|_| if i == 0 { *shared.write().unwrap() += 1 } else { assert!(*shared.read().unwrap() <= 100) }))
        })
        .collect();
    readers.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{}", shared.read().unwrap());

    panic::set_hook(Box::new(|info| println!("panic at line {}", info.location().unwrap().line())));
    let list = vec![1, 2, 3];
    println!("{}", panic::catch_unwind(|| { let _noisy = Noisy("caught"); list[opaque(6)] }).is_err());
    println!("{}", panic::catch_unwind(|| { let _noisy = Noisy("division"); 1 / opaque(0) }).is_err());
    let poisoned = Arc::new(Mutex::new(0));
    let inside = poisoned.clone();
    let result = thread::spawn(move || { let _lock = inside.lock().unwrap(); let _noisy = Noisy("thread"); panic!("in a thread") }).join();
    println!("{:?} {}", result.unwrap_err().downcast_ref::<&str>(), poisoned.lock().is_err());

    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    let other = pair.clone();
    thread::spawn(move || { thread::sleep(Duration::from_millis(5)); *other.0.lock().unwrap() = true; other.1.notify_all(); });
    let mut guard = pair.0.lock().unwrap();
    while !*guard { guard = pair.1.wait(guard).unwrap(); }
    println!("{}", pair.1.wait_timeout(guard, Duration::from_millis(3)).unwrap().1.timed_out());

    let folder = std::env::temp_dir().join(format!("languages{}-{:p}", std::process::id(), &pair));
    fs::create_dir_all(folder.join("one/two")).unwrap();
    fs::write(folder.join("file"), "some text\n").unwrap();
    println!("{}", fs::copy(folder.join("file"), folder.join("one/copy")).unwrap());
    let mut file = fs::OpenOptions::new().read(true).append(true).open(folder.join("file")).unwrap();
    file.write_all(b"more").unwrap();
    file.seek(SeekFrom::Start(5)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    println!("{:?} {} {:?}", text, fs::read_dir(&folder).unwrap().count(), fs::File::open("/nonexistent").unwrap_err().kind());
    fs::remove_dir_all(&folder).unwrap();
    println!("{}", recurse(0));
}
