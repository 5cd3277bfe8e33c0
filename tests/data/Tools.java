// SPDX-License-Identifier: MIT

import java.io.FileInputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/** Ways in which programs in Java read a file and write one. */
public class Tools {
	static void map(Path file) throws Exception {
		try (FileChannel in = FileChannel.open(file)) {
			Channels.newChannel(System.out).write(
				in.map(FileChannel.MapMode.READ_ONLY, 0, in.size()));
		}
	}

	static void transfer(Path file, Path to) throws Exception {
		try (FileChannel in = FileChannel.open(file);
		     FileChannel out = FileChannel.open(to, StandardOpenOption.CREATE,
							StandardOpenOption.WRITE)) {
			in.transferTo(0, in.size(), out);
		}
	}

	public static void main(String[] args) throws Exception {
		Path file = Path.of(args[1]);
		switch (args[0]) {
		case "readAllBytes" -> System.out.write(Files.readAllBytes(file));
		case "lines" -> Files.lines(file).forEach(System.out::println);
		case "reader" -> Files.newBufferedReader(file).lines()
			.forEach(System.out::println);
		case "stream" -> {
			try (FileInputStream in = new FileInputStream(args[1])) {
				in.transferTo(System.out);
			}
		}
		case "copy" -> Files.copy(file, Path.of(args[2]),
					  StandardCopyOption.REPLACE_EXISTING);
		case "map" -> map(file);
		case "transferTo" -> transfer(file, Path.of(args[2]));
		case "writeString" ->
			Files.writeString(file, Files.readString(Path.of(args[2])));
		default -> throw new IllegalArgumentException(args[0]);
		}
		System.out.flush();
	}
}
