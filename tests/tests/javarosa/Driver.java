import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import org.javarosa.core.model.Constants;
import org.javarosa.core.model.FormDef;
import org.javarosa.core.model.FormIndex;
import org.javarosa.core.model.GroupDef;
import org.javarosa.core.model.IFormElement;
import org.javarosa.core.model.ItemsetBinding;
import org.javarosa.core.model.QuestionDef;
import org.javarosa.core.model.condition.EvaluationContext;
import org.javarosa.core.model.condition.Recalculate;
import org.javarosa.core.model.condition.Triggerable;
import org.javarosa.core.model.data.IAnswerData;
import org.javarosa.core.model.data.MultipleItemsData;
import org.javarosa.core.model.data.SelectOneData;
import org.javarosa.core.model.data.StringData;
import org.javarosa.core.model.data.helper.Selection;
import org.javarosa.core.model.instance.AbstractTreeElement;
import org.javarosa.core.model.instance.FormInstance;
import org.javarosa.core.model.instance.InstanceInitializationFactory;
import org.javarosa.core.model.instance.TreeElement;
import org.javarosa.core.model.instance.TreeReference;
import org.javarosa.core.reference.ReferenceManager;
import org.javarosa.core.services.PropertyManager;
import org.javarosa.core.services.PrototypeManager;
import org.javarosa.core.util.JavaRosaCoreModule;
import org.javarosa.core.util.MathUtils;
import org.javarosa.form.api.FormEntryController;
import org.javarosa.form.api.FormEntryModel;
import org.javarosa.model.xform.XFormsModule;
import org.javarosa.xform.parse.XFormParser;
import org.javarosa.xform.util.XFormAnswerDataParser;
import org.javarosa.xpath.XPathConditional;
import org.joda.time.DateTimeUtils;

/**
 * Answers one form in JavaRosa, as it is told on standard input, and says what JavaRosa makes of the answers.
 *
 * <p>Started with the form, the folder of the files that it names, the instant that is now in milliseconds, and the
 * day that is today. One command a line, its fields between tabs:
 *
 * <ul>
 *   <li>{@code new SEED} begins an interview, whose chance is seeded
 *   <li>{@code rows PATH N} gives a repeat so many rows
 *   <li>{@code set PATH TEXT} answers, or takes an answer away
 *   <li>{@code walk} goes through all screens, which adds and removes the rows that a count asks for
 *   <li>{@code reopen} works everything out anew, as when an interview is opened again
 *   <li>{@code dump} tells everything, one node a line, then {@code end}; what went wrong before is told there, too
 * </ul>
 *
 * <p>A path is that of the form without its root, with the numbers of the rows: {@code people/member[2]/age}.
 */
public final class Driver {
    private final FormDef form;
    private final FormInstance blank;
    private final Path media;
    private final PrintWriter out;
    private final Map<String, QuestionDef> questions = new HashMap<>();
    private final Map<String, String> apart = new HashMap<>();
    private final List<String> errors = new ArrayList<>();
    private int command;

    public static void main(String[] arguments) throws Exception {
        Path form = Paths.get(arguments[0]);
        Path media = Paths.get(arguments[1]);
        String now = arguments[2];
        DateTimeUtils.setCurrentMillisFixed(Long.parseLong(now));
        new Driver(form, media, arguments[3]).run();
    }

    private Driver(Path file, Path media, String today) throws Exception {
        this.media = media;
        this.out = new PrintWriter(new OutputStreamWriter(System.out, StandardCharsets.UTF_8));
        PrototypeManager.registerPrototypes(JavaRosaCoreModule.classNames);
        new XFormsModule().registerModule();
        PropertyManager.setPropertyManager(new Device.NoProperties());
        ReferenceManager.instance().addReferenceFactory(new Device.Media(media));
        // now() takes the clock that main stopped; today() would ask the machine's.
        String text = Files.readString(file).replace("today()", "date('" + today + "')");
        this.form = new XFormParser(new StringReader(setApart(text))).parse();
        this.blank = form.getMainInstance().clone();
        collect(form);
    }

    /** Takes the calculations whose name begins with {@code apart_} out of the form, to work them out one at a time. */
    private String setApart(String text) throws Exception {
        Pattern bind = Pattern.compile("<bind nodeset=\"([^\"]*/apart_[^\"]*)\"([^>]*?) calculate=\"([^\"]*)\"");
        Matcher found = bind.matcher(text);
        while (found.find()) {
            String expression = found.group(3).replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            apart.put(found.group(1), expression.replace("&amp;", "&"));
        }
        return bind.matcher(text).replaceAll("<bind nodeset=\"$1\"$2");
    }

    /** Works out a calculation that was set apart; returns what went wrong. */
    private String calculate(TreeElement element, String expression) {
        TreeReference at = element.getRef();
        element.setAnswer(null);
        try {
            XPathConditional parsed = new XPathConditional(expression);
            Recalculate calculation = (Recalculate) Triggerable.recalculate(parsed, at.genericize());
            EvaluationContext context = new EvaluationContext(form.getEvaluationContext(), at);
            calculation.apply(at, calculation.eval(form.getMainInstance(), context), form.getMainInstance());
            return null;
        } catch (Exception problem) {
            return "error " + said(problem);
        }
    }

    private void collect(IFormElement element) {
        if (element instanceof QuestionDef) {
            QuestionDef question = (QuestionDef) element;
            questions.put(generic(FormInstance.unpackReference(question.getBind())), question);
        }
        if (element.getChildren() != null) {
            for (IFormElement child : element.getChildren()) {
                collect(child);
            }
        }
    }

    private static String generic(TreeReference reference) {
        return reference.genericize().toString(false);
    }

    private void run() throws IOException {
        out.println("ready");
        out.flush();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] fields = line.split("\t", -1);
            command++;
            try {
                obey(fields);
            } catch (Exception | StackOverflowError problem) {
                String what = fields[0] + " " + (fields.length > 1 ? fields[1] : "");
                errors.add(command + "\t" + escape(what) + "\t" + escape(said(problem)));
            }
            if (fields[0].equals("dump")) {
                tell();
            }
        }
    }

    /** Returns the message of what was thrown, in one line. */
    private static String said(Throwable problem) {
        String message = problem.getMessage() == null ? "" : problem.getMessage();
        return problem.getClass().getSimpleName() + ": " + message.replaceAll("\\s+", " ");
    }

    private void obey(String[] fields) throws Exception {
        switch (fields[0]) {
            case "new":
                errors.clear();
                command = 0;
                // Seeds that are neighbours would begin alike.
                MathUtils.getRand().setSeed(Long.parseLong(fields[1]) * 0x9e3779b97f4a7c15L);
                form.setInstance(blank.clone());
                form.getEvaluationContext().addFunctionHandler(new Device.PullData(media));
                form.initialize(true, new InstanceInitializationFactory());
                break;
            case "rows":
                rows(fields[1], Integer.parseInt(fields[2]));
                break;
            case "set":
                TreeReference at = reference(fields[1]);
                form.setValue(answer(at, unescape(fields[2])), at, true);
                break;
            case "walk":
                FormEntryController controller = new FormEntryController(new FormEntryModel(form));
                controller.jumpToIndex(FormIndex.createBeginningOfFormIndex());
                while (controller.stepToNextEvent() != FormEntryController.EVENT_END_OF_FORM) {
                    continue;
                }
                break;
            case "reopen":
                form.initialize(false, new InstanceInitializationFactory());
                break;
            case "dump":
                break;
            default:
                throw new IllegalArgumentException("no such command");
        }
    }

    /** Adds and removes rows at the end of a repeat. */
    private void rows(String path, int wanted) throws Exception {
        int found = 0;
        while (form.getMainInstance().resolveReference(reference(path + "[" + (found + 1) + "]")) != null) {
            found++;
        }
        for (; found < wanted; found++) {
            form.createNewRepeat(index(reference(path + "[" + (found + 1) + "]")));
        }
        for (; found > wanted; found--) {
            form.deleteRepeat(index(reference(path + "[" + found + "]")));
        }
    }

    /** Reads {@code group/member[2]/age}: rows count from 1, the root element goes without saying. */
    private TreeReference reference(String path) {
        TreeReference reference = TreeReference.rootRef();
        reference.add(form.getMainInstance().getRoot().getName(), 0);
        for (String part : path.split("/")) {
            int bracket = part.indexOf('[');
            if (bracket < 0) {
                reference.add(part, 0);
            } else {
                int row = Integer.parseInt(part.substring(bracket + 1, part.length() - 1));
                reference.add(part.substring(0, bracket), row - 1);
            }
        }
        return reference;
    }

    /** Finds the place on the screens of a repeat's row. */
    private FormIndex index(TreeReference row) {
        List<Integer> indexes = new ArrayList<>();
        List<Integer> rows = new ArrayList<>();
        List<IFormElement> elements = new ArrayList<>();
        if (!find(form, row, indexes, rows, elements)) {
            throw new IllegalArgumentException("no such repeat");
        }
        return form.buildIndex(indexes, rows, elements);
    }

    private boolean find(
            IFormElement inside,
            TreeReference row,
            List<Integer> indexes,
            List<Integer> rows,
            List<IFormElement> elements) {
        List<IFormElement> children = inside.getChildren();
        for (int at = 0; children != null && at < children.size(); at++) {
            if (!(children.get(at) instanceof GroupDef)) {
                continue;
            }
            GroupDef group = (GroupDef) children.get(at);
            TreeReference bind = group.getBind() == null ? null : FormInstance.unpackReference(group.getBind());
            indexes.add(at);
            elements.add(group);
            rows.add(group.getRepeat() && bind.size() <= row.size() ? row.getMultiplicity(bind.size() - 1) : 0);
            boolean here = group.getRepeat() && generic(bind).equals(generic(row));
            if (here || find(group, row, indexes, rows, elements)) {
                return true;
            }
            indexes.remove(indexes.size() - 1);
            elements.remove(elements.size() - 1);
            rows.remove(rows.size() - 1);
        }
        return false;
    }

    private IAnswerData answer(TreeReference at, String text) {
        if (text.isEmpty()) {
            return null;
        }
        QuestionDef question = questions.get(generic(at));
        int control = question == null ? Constants.CONTROL_UNTYPED : question.getControlType();
        if (control == Constants.CONTROL_SELECT_ONE) {
            return new SelectOneData(new Selection(text));
        }
        if (control == Constants.CONTROL_SELECT_MULTI || control == Constants.CONTROL_RANK) {
            List<Selection> chosen = new ArrayList<>();
            for (String one : text.trim().split("\\s+")) {
                chosen.add(new Selection(one));
            }
            return new MultipleItemsData(chosen);
        }
        int type = form.getMainInstance().resolveReference(at).getDataType();
        if (type == Constants.DATATYPE_TEXT) {
            return new StringData(text);
        }
        IAnswerData data = XFormAnswerDataParser.getAnswerData(text, type, question);
        if (data == null) {
            throw new IllegalArgumentException("no value of its type: " + text);
        }
        return data;
    }

    private void tell() {
        for (String error : errors) {
            out.println("error\t" + error);
        }
        tell(form.getMainInstance().getRoot(), "");
        out.println("end");
        out.flush();
    }

    private void tell(TreeElement element, String path) {
        for (int at = 0; at < element.getNumChildren(); at++) {
            TreeElement child = element.getChildAt(at);
            if (child.getMult() == TreeReference.INDEX_TEMPLATE) {
                continue;
            }
            String here = path + child.getName() + (child.isRepeatable() ? "[" + (child.getMult() + 1) + "]" : "");
            if (child.isRepeatable()) {
                out.println("row\t" + here + "\t" + (child.isRelevant() ? 1 : 0));
            }
            if (child.getNumChildren() > 0) {
                tell(child, here + "/");
            } else {
                question(child, here);
            }
        }
    }

    private void question(TreeElement element, String path) {
        TreeReference at = element.getRef();
        String expression = apart.get(generic(at));
        String failed = expression == null ? null : calculate(element, expression);
        IAnswerData value = element.getValue();
        String text = failed != null ? failed : value == null ? "" : value.uncast().getString();
        String verdict = "ok";
        if (element.isRelevant()) {
            if (value == null) {
                verdict = element.isRequired() ? "required" : "ok";
            } else {
                try {
                    verdict = form.evaluateConstraint(at, value) ? "ok" : "constraint";
                } catch (Exception problem) {
                    verdict = escape("error " + said(problem));
                }
            }
        }
        out.println("node\t" + path + "\t" + (element.isRelevant() ? 1 : 0) + "\t" + verdict + "\t" + escape(text));
        QuestionDef question = questions.get(generic(at));
        if (element.isRelevant() && question != null && question.getDynamicChoices() != null) {
            out.println("choices\t" + path + choices(question.getDynamicChoices(), at));
        }
    }

    /** Returns the values that are offered; asks the item set itself, as its own list of choices clears answers. */
    private String choices(ItemsetBinding items, TreeReference at) {
        StringBuilder names = new StringBuilder();
        try {
            TreeReference around = items.contextRef.contextualize(at);
            EvaluationContext context = new EvaluationContext(form.getEvaluationContext(), around);
            for (TreeReference item : items.nodesetExpr.evalNodeset(form.getMainInstance(), context)) {
                TreeReference value = items.valueRef.removePredicates().contextualize(item);
                String instance = item.getInstanceName();
                AbstractTreeElement<?> element = instance == null
                    ? form.getMainInstance().resolveReference(value)
                    : form.getNonMainInstance(instance).resolveReference(value);
                IAnswerData name = element == null ? null : element.getValue();
                names.append('\t').append(name == null ? "" : escape(name.uncast().getString()));
            }
        } catch (Exception problem) {
            return "\terror " + escape(said(problem));
        }
        return names.toString();
    }

    private static String escape(String text) {
        return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r");
    }

    private static String unescape(String text) {
        StringBuilder plain = new StringBuilder();
        for (int at = 0; at < text.length(); at++) {
            char sign = text.charAt(at);
            if (sign == '\\' && at + 1 < text.length()) {
                char next = text.charAt(++at);
                plain.append(next == 't' ? '\t' : next == 'n' ? '\n' : next == 'r' ? '\r' : next);
            } else {
                plain.append(sign);
            }
        }
        return plain.toString();
    }
}
