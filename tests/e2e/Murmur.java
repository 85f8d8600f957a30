// SPDX-License-Identifier: Apache-2.0
// Where the Java producer puts a key. Standard input: lines of COUNT KEY, the number of partitions
// and the key in hexadecimal digits ("-" for an empty one). Standard output: one partition a line.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HexFormat;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;

public class Murmur {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        StringBuilder output = new StringBuilder();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            byte[] key = words[1].equals("-") ? new byte[0] : HexFormat.of().parseHex(words[1]);
            output.append(BuiltInPartitioner.partitionForKey(key, Integer.parseInt(words[0])));
            output.append('\n');
        }
        System.out.print(output);
    }
}
