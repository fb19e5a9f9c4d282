// Goroutines on several threads, preemption of loops, timers, signals, faults that become panics, files, collections of garbage.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type node struct {
	left, right *node
	value       int
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{value: 1}
	}
	return &node{tree(depth - 1), tree(depth - 1), depth}
}

func (n *node) sum() int {
	if n == nil {
		return 0
	}
	return n.value + n.left.sum() + n.right.sum()
}

func deep(n int) int {
	var room [128]byte
	room[n%128] = 1
	if n == 0 {
		return 0
	}
	return deep(n-1) + int(room[n%128])
}

func recovered(body func()) {
	defer func() { fmt.Println("recovered:", recover()) }()
	body()
}

func main() {
	runtime.GOMAXPROCS(3)
	var group sync.WaitGroup
	numbers := make(chan int, 4)
	for i := 0; i < 40; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			for k := 0; k < 20; k++ {
				numbers <- i * k
			}
		}(i)
	}
	go func() { group.Wait(); close(numbers) }()
	sum := 0
	for n := range numbers {
		sum += n
	}
	fmt.Println(sum)

	var stop int32
	ended := make(chan bool)
	go func() {
		for atomic.LoadInt32(&stop) == 0 {
		}
		ended <- true
	}()
	runtime.GC()
	atomic.StoreInt32(&stop, 1)
	fmt.Println(<-ended)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	fmt.Println(ctx.Err())

	var nothing *node
	var table map[string]int
	zero, list := 0, []int{1}
	recovered(func() { fmt.Println(nothing.value) })
	recovered(func() { *(*int)(nil) = 1 })
	recovered(func() { table["a"] = 1 })
	recovered(func() { fmt.Println(1 / zero) })
	recovered(func() { fmt.Println(list[zero+5]) })
	fmt.Println(deep(20000), tree(12).sum())

	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-caught)

	folder, err := os.MkdirTemp("", "languages")
	fmt.Println(err)
	name := filepath.Join(folder, "file")
	fmt.Println(os.WriteFile(name, []byte("text"), 0o600))
	fmt.Println(os.Rename(name, name+"2"), os.Symlink("file2", name))
	text, err := os.ReadFile(name)
	fmt.Println(string(text), err)
	_, err = os.Stat("/nonexistent")
	fmt.Println(err, errors.Is(err, os.ErrNotExist), os.RemoveAll(folder))
	read, write, _ := os.Pipe()
	go func() { write.WriteString("piped"); write.Close() }()
	piped, _ := io.ReadAll(read)
	fmt.Printf("%s %x\n", piped, sha256.Sum256(piped))
	defer fmt.Println("deferred")
	nothing.value = 1
}
