import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;

import org.javarosa.core.model.condition.EvaluationContext;
import org.javarosa.core.model.condition.IFunctionHandler;
import org.javarosa.core.reference.PrefixedRootFactory;
import org.javarosa.core.reference.Reference;
import org.javarosa.core.services.IPropertyManager;
import org.javarosa.core.services.properties.IPropertyRules;

/** What JavaRosa expects of the device that it runs on: files beside the form, properties, the look-up in files. */
final class Device {
    private Device() {
    }

    /** Looks values up in a CSV file beside the form, as the field's application does; the files quote nothing. */
    static final class PullData implements IFunctionHandler {
        private final Path media;

        PullData(Path media) {
            this.media = media;
        }

        @Override
        public String getName() {
            return "pulldata";
        }

        @Override
        public List<Class[]> getPrototypes() {
            return Collections.singletonList(new Class[] {String.class, String.class, String.class, String.class});
        }

        @Override
        public boolean rawArgs() {
            return false;
        }

        @Override
        public boolean realTime() {
            return false;
        }

        @Override
        public Object eval(Object[] arguments, EvaluationContext context) {
            try {
                List<String> lines = Files.readAllLines(media.resolve(arguments[0] + ".csv"));
                List<String> columns = List.of(lines.get(0).split(","));
                int wanted = columns.indexOf(arguments[1]);
                int key = columns.indexOf(arguments[2]);
                for (String line : lines.subList(1, lines.size())) {
                    String[] cells = line.split(",", -1);
                    if (cells[key].equals(arguments[3])) {
                        return cells[wanted];
                    }
                }
            } catch (IOException | IndexOutOfBoundsException problem) {
                throw new IllegalStateException("pulldata: " + problem.getMessage());
            }
            return "";
        }
    }

    /** A device of which nothing is known. */
    static final class NoProperties implements IPropertyManager {
        @Override
        public List<String> getProperty(String name) {
            return List.of("");
        }

        @Override
        public void setProperty(String name, String value) {
        }

        @Override
        public void setProperty(String name, List<String> values) {
        }

        @Override
        public String getSingularProperty(String name) {
            return "";
        }

        @Override
        public void addRules(IPropertyRules rules) {
        }

        @Override
        public List<IPropertyRules> getRules() {
            return List.of();
        }
    }

    /** Finds {@code jr://file/x} and {@code jr://file-csv/x} in one folder. */
    static final class Media extends PrefixedRootFactory {
        private final Path folder;

        Media(Path folder) {
            super(new String[] {"file", "file-csv", "images", "audio", "video"});
            this.folder = folder;
        }

        @Override
        protected Reference factory(String terminal, String uri) {
            return new LocalFile(folder.resolve(terminal), uri);
        }
    }

    private static final class LocalFile implements Reference {
        private final Path file;
        private final String uri;

        LocalFile(Path file, String uri) {
            this.file = file;
            this.uri = uri;
        }

        @Override
        public boolean doesBinaryExist() {
            return Files.exists(file);
        }

        @Override
        public InputStream getStream() throws IOException {
            return new FileInputStream(file.toFile());
        }

        @Override
        public String getURI() {
            return uri;
        }

        @Override
        public String getLocalURI() {
            return file.toString();
        }

        @Override
        public boolean isReadOnly() {
            return true;
        }

        @Override
        public OutputStream getOutputStream() throws IOException {
            throw new IOException("read only");
        }

        @Override
        public void remove() {
            throw new UnsupportedOperationException();
        }

        @Override
        public Reference[] probeAlternativeReferences() {
            return new Reference[0];
        }
    }
}
