// Exceptions: through frames, from signal handlers, across threads, in coroutines; 16-byte atomics; what ends the program.
#include <atomic>
#include <barrier>
#include <condition_variable>
#include <coroutine>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <latch>
#include <locale>
#include <optional>
#include <random>
#include <regex>
#include <semaphore>
#include <shared_mutex>
#include <thread>
#include <utility>
#include <vector>
#include <unistd.h>

struct Noisy {
  const char *name;
  ~Noisy() { std::cout << "~" << name << "\n"; }
};

static int deep(int n) {
  Noisy noisy{"deep"};
  if (n == 0) throw std::runtime_error("at the bottom");
  return deep(n - 1) + 1;
}

struct Fault : std::exception {
  const char *what() const noexcept override { return "fault"; }
};

static void thrower(int signo) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, signo);
  pthread_sigmask(SIG_UNBLOCK, &mask, nullptr);
  if (signo == SIGFPE) throw std::domain_error("division");
  throw Fault();
}

__attribute__((noinline)) static int load(volatile int *pointer) { return *pointer; }
__attribute__((noinline)) static int divide(int a, volatile int *b) { return a / *b; }

static void faults() {
  for (int i = 0; i < 2; i++) {
    try {
      load(nullptr);
    } catch (Fault &fault) {
      std::cout << "caught " << fault.what() << "\n";
    }
    try {
      volatile int zero = 0;
      divide(1, &zero);
    } catch (std::domain_error &error) {
      std::cout << "caught " << error.what() << "\n";
    }
  }
}

struct alignas(16) Pair {
  long up, down;
};

struct Generator {
  struct promise_type {
    long value = 0;
    std::exception_ptr error;
    Generator get_return_object() { return Generator{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(long x) {
      value = x;
      return {};
    }
    void return_void() {}
    void unhandled_exception() { error = std::current_exception(); }
  };
  std::coroutine_handle<promise_type> handle;
  ~Generator() { handle.destroy(); }
  bool next() {
    handle.resume();
    if (handle.promise().error) std::rethrow_exception(handle.promise().error);
    return !handle.done();
  }
};

static Generator fibonacci(int count) {
  long a = 0, b = 1;
  while (count--) {
    co_yield a;
    a = std::exchange(b, a + b);
  }
  throw std::out_of_range("no more");
}

static void threads() {
  std::exception_ptr thrown;
  std::thread([&] {
    try {
      deep(1);
    } catch (...) {
      thrown = std::current_exception();
    }
    faults();
  }).join();
  try {
    std::rethrow_exception(thrown);
  } catch (std::exception &error) {
    std::cout << "from a thread: " << error.what() << "\n";
  }
  auto future = std::async(std::launch::async, []() -> int { throw std::logic_error("async"); });
  try {
    future.get();
  } catch (std::logic_error &error) {
    std::cout << error.what() << "\n";
  }

  std::atomic<Pair> pair{Pair{0, 0}};
  std::latch start(4);
  std::barrier meet(4);
  std::counting_semaphore<4> ended(0);
  std::shared_mutex mutex;
  long guarded = 0;
  std::vector<std::jthread> workers;
  for (int i = 0; i < 4; i++) {
    workers.emplace_back([&, i] {
      start.arrive_and_wait();
      for (int round = 0; round < 300; round++) {
        Pair old = pair.load();
        while (!pair.compare_exchange_weak(old, Pair{old.up + 1, old.down - 1})) {}
        if (round % 50 == i) meet.arrive_and_wait();
        if (round % 3 == 0) {
          std::unique_lock lock(mutex);
          guarded++;
        } else {
          std::shared_lock lock(mutex);
          if (guarded < 0) std::abort();
        }
      }
      ended.release();
    });
  }
  for (int i = 0; i < 4; i++) ended.acquire();
  std::cout << pair.load().up << " " << pair.load().down << " " << guarded << "\n";
  std::jthread waiting([](std::stop_token stop) {
    std::mutex own;
    std::condition_variable_any never;
    std::unique_lock lock(own);
    never.wait(lock, stop, [] { return false; });
    std::cout << "stopped\n";
  });
}

static void library() {
  std::string text = "joe@example.com, ann@test.com";
  std::cout << std::regex_replace(text, std::regex("(\\w+)@(\\w+)\\.com"), "$2-$1") << "\n";
  try {
    std::locale("xx_YY");
  } catch (std::exception &error) {
    std::cout << error.what() << "\n";
  }
  std::random_device random;
  unsigned a = random(), b = random(), c = random();
  std::cout << (a != b || b != c) << "\n";
  namespace fs = std::filesystem;
  auto folder = fs::temp_directory_path() / ("languages" + std::to_string(getpid()) + std::to_string(a));
  fs::create_directories(folder / "one/two");
  std::ofstream(folder / "one/file") << "text\n";
  fs::copy(folder / "one", folder / "copy", fs::copy_options::recursive);
  fs::create_symlink("file", folder / "one/link");
  std::cout << fs::read_symlink(folder / "one/link") << fs::file_size(folder / "copy/file") << " "
            << fs::remove_all(folder) << "\n";
  try {
    std::cout << fs::file_size("/nonexistent");
  } catch (fs::filesystem_error &error) {
    std::cout << error.what() << "\n";
  }
}

int main() {
  std::signal(SIGSEGV, thrower);
  std::signal(SIGFPE, thrower);
  try {
    deep(2);
  } catch (std::exception &error) {
    std::cout << "caught " << error.what() << "\n";
  }
  faults();
  threads();
  long sum = 0;
  auto numbers = fibonacci(30);
  try {
    while (numbers.next()) sum += numbers.handle.promise().value;
  } catch (std::out_of_range &error) {
    std::cout << error.what() << " " << sum << "\n";
  }
  library();
  std::set_terminate([] {
    std::cout << "terminate" << std::endl;
    _exit(7);
  });
  std::thread([] { throw 1; }).join();
}
