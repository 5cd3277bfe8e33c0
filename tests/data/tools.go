// SPDX-License-Identifier: MIT

// Ways in which programs in Go read a file and write one.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func open(name string) *os.File {
	file, err := os.Open(name)
	check(err)
	return file
}

func create(name string) *os.File {
	file, err := os.Create(name)
	check(err)
	return file
}

func scan(from io.Reader) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		fmt.Println(lines.Text())
	}
	check(lines.Err())
}

// Go does it by copy_file_range(2) where it can.
func copyTo(to string, from *os.File) {
	file := create(to)
	_, err := io.Copy(file, from)
	check(err)
	check(file.Close())
}

func main() {
	way, name := os.Args[1], os.Args[2]
	switch way {
	case "ReadFile":
		data, err := os.ReadFile(name)
		check(err)
		os.Stdout.Write(data)
	case "Scanner":
		scan(open(name))
	case "Copy":
		copyTo(os.Args[3], open(name))
	case "WriteFile":
		data, err := os.ReadFile(os.Args[3])
		check(err)
		check(os.WriteFile(name, data, 0o644))
	}
}
